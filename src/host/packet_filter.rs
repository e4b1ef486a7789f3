//! The packet filter's chains, read from the kernel: nf_tables over netlink, and the older iptables tables by `getsockopt`.
//!
//! Neither starts a program nor loads a module: the older tables are asked for only where the kernel lists them as there, because
//! asking would make them.

mod legacy;
mod nf_tables;

use crate::fact::{Chain, Fact};

/// All chains of IPv4 and of both families that nf_tables has, and those of iptables' table `filter`; needs CAP_NET_ADMIN.
pub fn read() -> Fact<Vec<Chain>> {
    match legacy::read().and_then(|mut chains| nf_tables::read().map(|more| chains.extend(more)).map(|()| chains)) {
        Ok(chains) => Fact::Known(chains),
        Err(why) => Fact::Unknown(why),
    }
}
