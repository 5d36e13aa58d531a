//! Each fault of a plan on a small world: it is felt, and when it is over the cluster takes payments, settles them, and
//! all agree.

mod chaos;
mod disks;
mod ledgers;
mod members;
mod paths;
mod processes;
mod stage;
