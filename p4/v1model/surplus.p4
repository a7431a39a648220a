// The channel's own counter counts whole frames: 14 bytes and those behind the IP packet or of a tag too many. Of each
// channel, surplus_b counts the frames with bit b set in the number of those bytes above 14. They are few.
#ifndef SURPLUS_P4
#define SURPLUS_P4

control Surplus(in bit<32> channel, in bit<16> more) {
    counter(CHANNEL_SIZE, CounterType.packets) surplus_0;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_1;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_2;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_3;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_4;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_5;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_6;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_7;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_8;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_9;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_10;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_11;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_12;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_13;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_14;
    counter(CHANNEL_SIZE, CounterType.packets) surplus_15;

    apply {
        if (more[0:0] == 1) { surplus_0.count(channel); }
        if (more[1:1] == 1) { surplus_1.count(channel); }
        if (more[2:2] == 1) { surplus_2.count(channel); }
        if (more[3:3] == 1) { surplus_3.count(channel); }
        if (more[4:4] == 1) { surplus_4.count(channel); }
        if (more[5:5] == 1) { surplus_5.count(channel); }
        if (more[6:6] == 1) { surplus_6.count(channel); }
        if (more[7:7] == 1) { surplus_7.count(channel); }
        if (more[8:8] == 1) { surplus_8.count(channel); }
        if (more[9:9] == 1) { surplus_9.count(channel); }
        if (more[10:10] == 1) { surplus_10.count(channel); }
        if (more[11:11] == 1) { surplus_11.count(channel); }
        if (more[12:12] == 1) { surplus_12.count(channel); }
        if (more[13:13] == 1) { surplus_13.count(channel); }
        if (more[14:14] == 1) { surplus_14.count(channel); }
        if (more[15:15] == 1) { surplus_15.count(channel); }
    }
}

#endif
