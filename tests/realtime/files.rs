//! Files and voice notes: every pair of doors, links that change in the middle, and what is refused.

use std::time::Duration;

use bytes::Bytes;
use duologue::client::{Client, File, sha256};
use duologue::hub::Door;
use duologue::protocol::{About, ClientEvent, Offered, Progress, ServerEvent, TransferId};

use crate::world::*;

over_every_pair_of_doors! {
    files_of_all_sizes_arrive_both_ways,
    a_talk_goes_on_beside_a_file,
    a_receiver_that_does_not_read_stops_the_sender_alone,
    links_change_in_the_middle_of_a_file,
    several_at_once_all_arrive,
    what_an_earlier_link_brought_counts_on_the_next,
}

/// Bytes that look like nothing.
pub fn noise(length: usize) -> Bytes {
    let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ length as u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

pub fn file(length: usize) -> File {
    File::new("noise.bin", "application/octet-stream", noise(length))
}

/// Answers offers and waits for a file.
pub async fn receive(client: &mut Client) -> (Offered, Bytes) {
    loop {
        match next(client).await {
            ServerEvent::Offer(offered) => client.accept(&offered.transfer).await.unwrap(),
            ServerEvent::Complete(complete) => return client.collect(&complete).expect("whole, and as it was sent"),
            ServerEvent::Cancel(cancelled) => panic!("{cancelled:?}"),
            ServerEvent::Error(refusal) => panic!("{refusal:?}"),
            _ => {}
        }
    }
}

/// Waits for a file that was accepted.
pub async fn collected(client: &mut Client) -> Bytes {
    match until(client, "file:complete").await {
        ServerEvent::Complete(complete) => client.collect(&complete).expect("whole, and as it was sent").1,
        event => unreachable!("{event:?}"),
    }
}

/// Sends a file and waits until the partner has it.
pub async fn send(client: &mut Client, id: &str, file: &File) -> u64 {
    client.offer(id, file).await.unwrap();
    loop {
        match next(client).await {
            ServerEvent::Complete(complete) => {
                assert_eq!((complete.transfer.as_str(), complete.sha256), (id, sha256(&file.bytes)));
                return complete.size;
            }
            ServerEvent::Cancel(cancelled) => panic!("{cancelled:?}"),
            ServerEvent::Error(refusal) => panic!("{refusal:?}"),
            _ => {}
        }
    }
}

async fn files_of_all_sizes_arrive_both_ways(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    for length in [1, 4_095, 16_384, 16_385, 196_608, 196_609, 1_000_000, 10_485_760] {
        let file = file(length);
        let (there, back) = (format!("there-{length}"), format!("back-{length}"));
        let (sent, (offered, bytes)) = tokio::join!(send(&mut one, &there, &file), receive(&mut other));
        assert_eq!((sent, offered.size), (length as u64, Some(length as u64)));
        assert_eq!(bytes, file.bytes);
        let (_, (_, bytes)) = tokio::join!(send(&mut other, &back, &file), receive(&mut one));
        assert_eq!(bytes, file.bytes);
    }
    world.stop().await;
}

async fn a_talk_goes_on_beside_a_file(doors: [Door; 2]) {
    let world = World::with(&[("DUOLOGUE_LIMITS_EVENTS_PER_MINUTE", "100000")]).await;
    let (mut one, mut other) = world.pair(doors).await;
    let file = file(10_000_000);
    let sending = async {
        one.offer("big", &file).await.unwrap();
        let (mut said, mut told, mut sent) = (0, 0, false);
        loop {
            match next(&mut one).await {
                ServerEvent::Progress(_) if !sent => {
                    one.send(&message(&format!("m{said}"), "beside it")).await.unwrap();
                    said += 1;
                }
                ServerEvent::Complete(_) => {
                    sent = true;
                    one.send(&message("end", "that was it")).await.unwrap();
                }
                ServerEvent::Delivered(delivered) if delivered.id.as_str() == "end" => return (said, told),
                ServerEvent::Delivered(delivered) => {
                    assert_eq!(delivered.id.as_str(), format!("m{told}"));
                    told += 1;
                }
                ServerEvent::Error(refusal) => panic!("{refusal:?}"),
                _ => {}
            }
        }
    };
    let receiving = async {
        let (mut heard, mut got) = (0, None);
        loop {
            match next(&mut other).await {
                ServerEvent::Offer(offered) => other.accept(&offered.transfer).await.unwrap(),
                ServerEvent::Complete(complete) => got = Some(other.collect(&complete).unwrap().1),
                ServerEvent::Message(message) if message.id.as_str() == "end" => return (heard, got),
                ServerEvent::Message(message) => {
                    assert_eq!(message.id.as_str(), format!("m{heard}"));
                    heard += 1;
                }
                _ => {}
            }
        }
    };
    let ((said, told), (heard, got)) = tokio::join!(sending, receiving);
    assert!(said > 5, "only {said} beside the file");
    assert_eq!((told, heard), (said, said));
    assert_eq!(got.unwrap(), file.bytes);
    world.stop().await;
}

async fn a_receiver_that_does_not_read_stops_the_sender_alone(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    one.offer("big", &file(2_000_000)).await.unwrap();
    let ServerEvent::Offer(offered) = until(&mut other, "file:offer").await else { unreachable!() };
    // Accepts, and says of no byte that it has it.
    let accept = ClientEvent::Accept(About { transfer: offered.transfer });
    other.send(&accept).await.unwrap();
    until(&mut one, "file:accept").await;
    one.send(&message("m", "and now?")).await.unwrap();
    assert_eq!(hear(&mut other).await.0, "m");
    assert_eq!(delivered(&mut one).await, "m");
    other.send(&message("n", "I do not read")).await.unwrap();
    assert_eq!(hear(&mut one).await.0, "n");
    // Nothing says that any of it arrived.
    let more = one.next(Duration::from_millis(500)).await;
    assert!(matches!(more, Err(duologue::client::Error::Timeout(_))), "{more:?}");
    other.call_off(&TransferId::new("big").unwrap()).await.unwrap();
    let ServerEvent::Cancel(cancelled) = until(&mut one, "file:cancel").await else { unreachable!() };
    assert_eq!(cancelled.code.name(), "cancelled");
    world.stop().await;
}

async fn links_change_in_the_middle_of_a_file(doors: [Door; 2]) {
    const EVERY: u64 = 250_000;
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    let file = file(3_000_000);
    let sending = async {
        one.offer("big", &file).await.unwrap();
        let mut changes = 0;
        loop {
            match next(&mut one).await {
                ServerEvent::Complete(_) => return changes,
                ServerEvent::Progress(progress) if progress.received / EVERY > changes => {
                    changes += 1;
                    change(&mut one, doors, changes).await;
                }
                ServerEvent::Cancel(cancelled) => panic!("{cancelled:?}"),
                ServerEvent::Error(refusal) => panic!("{refusal:?}"),
                _ => {}
            }
        }
    };
    let receiving = async {
        let ServerEvent::Offer(offered) = until(&mut other, "file:offer").await else { unreachable!() };
        other.accept(&offered.transfer).await.unwrap();
        let mut changes = 0;
        loop {
            match other.next(Duration::from_millis(30)).await {
                Ok(ServerEvent::Complete(complete)) => return (changes, other.collect(&complete).unwrap().1),
                Ok(ServerEvent::Cancel(cancelled)) => panic!("{cancelled:?}"),
                Ok(_) => {}
                Err(duologue::client::Error::Timeout(_)) => {
                    changes += 1;
                    change(&mut other, doors, changes).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    let (sender, (receiver, bytes)) = tokio::join!(sending, receiving);
    assert!(sender >= 8, "{sender} and {receiver} changes");
    assert_eq!(bytes, file.bytes);
    world.stop().await;
}

/// By turns: lost, or moved before it is given up; to the same door, or to another.
async fn change(client: &mut Client, doors: [Door; 2], turn: u64) {
    if turn.is_multiple_of(3) {
        client.cut();
    }
    client.resume(doors[usize::try_from(turn % 2).unwrap()]).await.unwrap();
    assert!(client.established().resumed);
}

async fn several_at_once_all_arrive(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    let files: Vec<_> = [30_000, 3_000_000, 1, 2_000_000].map(file).into();
    let sending = async {
        for (index, file) in files.iter().enumerate() {
            one.offer(&format!("f{index}"), file).await.unwrap();
        }
        let mut arrived = 0;
        while arrived < files.len() {
            match next(&mut one).await {
                ServerEvent::Complete(_) => arrived += 1,
                ServerEvent::Cancel(cancelled) => panic!("{cancelled:?}"),
                ServerEvent::Error(refusal) => panic!("{refusal:?}"),
                _ => {}
            }
        }
    };
    let receiving = async {
        let mut got = Vec::new();
        while got.len() < files.len() {
            match next(&mut other).await {
                ServerEvent::Offer(offered) => other.accept(&offered.transfer).await.unwrap(),
                ServerEvent::Complete(complete) => got.push(other.collect(&complete).unwrap()),
                ServerEvent::Cancel(cancelled) => panic!("{cancelled:?}"),
                _ => {}
            }
        }
        got
    };
    let ((), got) = tokio::join!(sending, receiving);
    for (offered, bytes) in got {
        let index: usize = offered.transfer.as_str()[1..].parse().unwrap();
        assert_eq!(bytes, files[index].bytes, "file {index}");
    }
    world.stop().await;
}

async fn what_an_earlier_link_brought_counts_on_the_next(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    let file = file(1_000_000);
    let id = TransferId::new("big").unwrap();
    let sending = async { send(&mut one, "big", &file).await };
    let receiving = async {
        until(&mut other, "file:offer").await;
        other.accept(&id).await.unwrap();
        while other.has(&id) < 100_000 {
            // Whatever comes is taken in.
            let _ = other.next(Duration::from_millis(1)).await;
        }
        // As a browser does that reads its old link until the new one stands: the hello says less than
        // there is by the time of its answer.
        let had = other.has(&id);
        other.resume_as_of(doors[0], &id, had - 60_000).await.unwrap();
        let more = ClientEvent::Progress(Progress { transfer: id.clone(), received: had });
        other.send(&more).await.unwrap();
        collected(&mut other).await
    };
    let (_, bytes) = tokio::join!(sending, receiving);
    assert_eq!(bytes, file.bytes);
    world.stop().await;
}
