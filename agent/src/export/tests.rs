//! The queue's order, and what it drops.

use std::time::Duration;

use flashlamp_profile::Timestamp;

use super::{Kind, Queue};
use crate::Clock;
use crate::clock::Anchor;
use crate::collection::{Chunk, Collection, Losses};
use crate::limits;

/// A piece with one gap, so that it has something to tell.
pub(super) fn chunk() -> Chunk {
    let mut collection = Collection::new(8);
    collection.add_gap(0, 1, 0);
    Chunk {
        collection,
        losses: Losses::new(),
        start: Anchor::now(),
        duration_ns: 1,
        clock: Clock::Wall,
        period_ns: 1,
    }
}

fn window() -> Kind {
    let from = Timestamp::from_secs(0);
    Kind::Window { from, until: from }
}

pub(super) fn request(id: &str) -> Kind {
    Kind::Request {
        id: id.to_owned(),
        entry: String::new(),
        name: String::new(),
    }
}

fn id_of(kind: &Kind) -> &str {
    match kind {
        Kind::Window { .. } => "window",
        Kind::Request { id, .. } => id,
    }
}

#[test]
fn a_request_does_not_wait_behind_a_window_that_is_sent_later() {
    let queue = Queue::new(Duration::from_secs(10));
    queue.push(window(), chunk(), Duration::from_secs(3600));
    queue.push(request("first"), chunk(), Duration::ZERO);
    queue.push(request("second"), chunk(), Duration::ZERO);
    for expected in ["first", "second"] {
        let item = queue.next().expect("the request is due");
        assert_eq!(id_of(&item.kind), expected);
    }
}

#[test]
fn the_oldest_piece_makes_room_even_if_it_is_due_last() {
    let queue = Queue::new(Duration::from_secs(10));
    queue.push(window(), chunk(), Duration::from_secs(3600));
    for _ in 0..limits::QUEUE_ITEMS_MAX {
        queue.push(request("kept"), chunk(), Duration::ZERO);
    }
    for _ in 0..limits::QUEUE_ITEMS_MAX {
        let item = queue.next().expect("the requests are due");
        assert_eq!(id_of(&item.kind), "kept");
    }
    queue.close(Duration::ZERO);
    assert!(queue.next().is_none(), "the window is gone");
}
