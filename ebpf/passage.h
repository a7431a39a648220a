/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* A packet on its way through kernel programs: what steering and a compiled program tell each other, per CPU.
 * Both are compiled with this text. */

struct passage {
    u32 program;  /* that it is in, or comes from */
    u32 programs; /* that it has passed, this one too */
    u32 ifindex;  /* of the link that it came in by */
    u32 vlan;
    u32 channel; /* of a fork's copy: where it goes */
    u32 copy;    /* of several puts: the one that is to be made */
    /* Of the program: */
    u32 kind; /* why it dropped the packet, or 0 */
    u32 puts;
    u32 stream;  /* of the only put */
    u32 written; /* where several are written down */
    u32 empty;   /* puts of nothing */
    u32 beyond;  /* puts over a limit */
};
