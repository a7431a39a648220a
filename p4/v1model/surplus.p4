// The channel's own counter counts whole frames: 14 bytes and those behind the IP packet or of a tag too many. Cell
// channel * 16 + b counts frames of the channel with bit b set in the number of those bytes above 14. They are few.
#ifndef SURPLUS_P4
#define SURPLUS_P4

control Surplus(in bit<32> channel, in bit<16> more) {
    counter(SURPLUS_SIZE, CounterType.packets) surplus;

    apply {
        bit<32> cell = channel << 4;
        if (more[0:0] == 1) {
            cell = (channel << 4) + 0;
            surplus.count(cell);
        }
        if (more[1:1] == 1) {
            cell = (channel << 4) + 1;
            surplus.count(cell);
        }
        if (more[2:2] == 1) {
            cell = (channel << 4) + 2;
            surplus.count(cell);
        }
        if (more[3:3] == 1) {
            cell = (channel << 4) + 3;
            surplus.count(cell);
        }
        if (more[4:4] == 1) {
            cell = (channel << 4) + 4;
            surplus.count(cell);
        }
        if (more[5:5] == 1) {
            cell = (channel << 4) + 5;
            surplus.count(cell);
        }
        if (more[6:6] == 1) {
            cell = (channel << 4) + 6;
            surplus.count(cell);
        }
        if (more[7:7] == 1) {
            cell = (channel << 4) + 7;
            surplus.count(cell);
        }
        if (more[8:8] == 1) {
            cell = (channel << 4) + 8;
            surplus.count(cell);
        }
        if (more[9:9] == 1) {
            cell = (channel << 4) + 9;
            surplus.count(cell);
        }
        if (more[10:10] == 1) {
            cell = (channel << 4) + 10;
            surplus.count(cell);
        }
        if (more[11:11] == 1) {
            cell = (channel << 4) + 11;
            surplus.count(cell);
        }
        if (more[12:12] == 1) {
            cell = (channel << 4) + 12;
            surplus.count(cell);
        }
        if (more[13:13] == 1) {
            cell = (channel << 4) + 13;
            surplus.count(cell);
        }
        if (more[14:14] == 1) {
            cell = (channel << 4) + 14;
            surplus.count(cell);
        }
        if (more[15:15] == 1) {
            cell = (channel << 4) + 15;
            surplus.count(cell);
        }
    }
}

#endif
