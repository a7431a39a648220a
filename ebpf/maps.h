/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The node's tables. The loader makes the real maps (`layout.py` has their sizes); the compiler only needs
 * names and types, hence one entry each. */

BPF_TABLE("array", u32, struct link_row, link, 1);                 /* by ifindex: untagged */
BPF_TABLE("hash", struct link_key, struct link_row, link_vlan, 1); /* tagged */
BPF_TABLE("array", u32, struct limit_row, limit, 1);               /* by ifindex */
BPF_TABLE("hash", struct flow4_key, struct flow4_row, flow4, 1);   /* source 0: any */
BPF_TABLE("hash", struct flow6_key, struct flow6_row, flow6, 1);
BPF_TABLE("hash", struct binding4_key, struct binding_row, binding4, 1);
BPF_TABLE("hash", struct binding6_key, struct binding_row, binding6, 1);
BPF_TABLE("hash", struct peer4_key, struct peer_row, peer4, 1); /* written by the control unit */
BPF_TABLE("hash", struct peer6_key, struct peer_row, peer6, 1);
BPF_TABLE("lru_hash", struct peer4_key, struct peer_row, learnt4,
          1); /* apart, so that no flood evicts those */
BPF_TABLE("lru_hash", struct peer6_key, struct peer_row, learnt6, 1);
BPF_TABLE("array", u32, struct artp_row, artp, 1);
BPF_TABLE("hash", struct next_hop_key, struct next_hop_row, next_hop, 1);
BPF_TABLE("array", u32, struct fork_row, fork, 1);
BPF_TABLE("hash", struct branch_key, u32, branch, 1); /* → channel */
BPF_TABLE("hash", struct clone_key, u32, clone, 1);   /* → channel */
BPF_TABLE("array", u32, struct channel_row, channel, 1);
BPF_TABLE("array", u32, struct slot_row, slot, 1); /* by group + index */
BPF_TABLE("array", u32, struct endpoint_row, endpoint, 1);
BPF_TABLE("array", u32, u32, unit, 1);
BPF_TABLE("array", u32, u32, counter, 1);                   /* by group: round robin */
BPF_TABLE("percpu_array", u32, struct traffic, traffic, 1); /* by channel */
BPF_TABLE("percpu_array", u32, struct totals, totals, 1);
BPF_TABLE("percpu_array", u32, struct numbering, numbering, 1); /* by egress ifindex */
BPF_TABLE("lru_hash", struct link_key, u64, bucket, 1);         /* guests' packets to the host */
BPF_TABLE("array", u32, struct config, config, 1);
BPF_TABLE("array", u32, struct crc_table, crc, 1);
BPF_RINGBUF_OUTPUT(events, 1);
BPF_XDP_REDIRECT_MAP("devmap", struct bpf_devmap_val, tx, 1); /* by ifindex */
BPF_XDP_REDIRECT_MAP("devmap", struct bpf_devmap_val, plan_devices,
                     1); /* a plan's devices, in the copies' order */
BPF_TABLE("array_of_maps$plan_devices", int, int, plans, 1);
BPF_TABLE("array_of_maps$plan_devices", int, int, put_plans, 1); /* by number of puts */
BPF_TABLE("array", u32, u32, binding_put, 1);                    /* by program and stream → target */
BPF_TABLE("percpu_array", u32, struct passage, passage, 1);
BPF_TABLE("prog", u32, u32, programs, 1); /* by program and stream */
BPF_TABLE("prog", u32, u32, onward, 1);   /* steer_put */
#ifdef TRACE
BPF_TABLE("array", u32, struct trace, trace, 1);
#endif
