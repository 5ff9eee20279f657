//! Matching and talking.

use duologue::hub::Door;
use duologue::protocol::{ClientEvent, Doing, Nothing, Presence, ServerEvent, Typing, Wish};

use crate::world::*;

over_every_pair_of_doors! {
    they_talk_both_ways,
    typing_and_clear_reach_the_partner,
    skip_frees_both_and_looks_on,
    leave_frees_both,
    messages_sent_while_a_link_is_lost_arrive_once_and_in_order,
    both_links_lost_at_once,
    a_takeover_loses_and_doubles_nothing,
    a_partner_who_does_not_come_back_is_told,
}

async fn they_talk_both_ways(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    for round in 0..20 {
        let (id, text) = (format!("a{round}"), format!("hello {round} 你好 مرحبا 🙂"));
        one.send(&message(&id, &text)).await.unwrap();
        assert_eq!(hear(&mut other).await, (id.clone(), text));
        assert_eq!(delivered(&mut one).await, id);
        let id = format!("b{round}");
        other.send(&message(&id, "back")).await.unwrap();
        assert_eq!(hear(&mut one).await.0, id);
        assert_eq!(delivered(&mut other).await, id);
    }
    assert_eq!((one.pending(), other.pending()), (0, 0), "answers carry acknowledgements");
    world.stop().await;
}

async fn typing_and_clear_reach_the_partner(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    one.send(&ClientEvent::Typing(Typing { typing: true })).await.unwrap();
    assert_eq!(next(&mut other).await, ServerEvent::Typing(Typing { typing: true }));
    other.send(&ClientEvent::Clear(Nothing {})).await.unwrap();
    let ServerEvent::Clear(cleared) = expect(&mut one, "chat:clear").await else { unreachable!() };
    assert_eq!(cleared.by, other.established().user.user.id);
    world.stop().await;
}

async fn skip_frees_both_and_looks_on(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    one.send(&ClientEvent::Skip(Nothing {})).await.unwrap();
    expect(&mut one, "user:matching").await;
    let ServerEvent::Unmatched(unmatched) = expect(&mut other, "user:unmatched").await else { unreachable!() };
    assert_eq!(serde_json::to_value(unmatched.reason).unwrap(), "skipped");
    other.send(&message("late", "too late")).await.unwrap();
    assert_eq!(refused(&mut other).await, ("no-conversation".into(), Some("late".into())));

    // They have just met: somebody new comes first.
    other.send(&find()).await.unwrap();
    expect(&mut other, "user:matching").await;
    let mut newcomer = world.client(doors[1]).await;
    newcomer.send(&find()).await.unwrap();
    expect(&mut newcomer, "user:matching").await;
    assert_eq!(matched(&mut newcomer).await.matched_user.user, one.established().user.user, "who has waited longest");
    assert_eq!(matched(&mut one).await.matched_user.user, newcomer.established().user.user);
    world.stop().await;
}

async fn leave_frees_both(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    one.send(&leave()).await.unwrap();
    expect(&mut one, "user:idle").await;
    expect(&mut other, "user:unmatched").await;
    one.send(&leave()).await.unwrap();
    assert_eq!(refused(&mut one).await.0, "no-conversation");
    one.send(&ClientEvent::MatchCancel(Nothing {})).await.unwrap();
    assert_eq!(refused(&mut one).await.0, "not-waiting");
    one.send(&find()).await.unwrap();
    expect(&mut one, "user:matching").await;
    one.send(&ClientEvent::MatchCancel(Nothing {})).await.unwrap();
    expect(&mut one, "user:idle").await;
    world.stop().await;
}

async fn messages_sent_while_a_link_is_lost_arrive_once_and_in_order(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    one.send(&message("m0", "before")).await.unwrap();
    hear(&mut other).await;
    delivered(&mut one).await;

    other.cut();
    let ServerEvent::Status(status) = expect(&mut one, "user:status").await else { unreachable!() };
    assert_eq!(status.status, Presence::Reconnecting);
    for id in ["m1", "m2", "m3"] {
        one.send(&message(id, "meanwhile")).await.unwrap();
        other.queue(&message(&format!("to-{id}"), "said without a link"));
    }
    // Back by the other door: the session does not care which link it has.
    other.resume(doors[0]).await.unwrap();
    assert!(other.established().resumed);
    assert_eq!(other.established().state, Doing::Talking);
    assert!(other.established().conversation.is_some());
    for id in ["m1", "m2", "m3"] {
        assert_eq!(hear(&mut other).await.0, id);
    }
    let ServerEvent::Status(status) = expect(&mut one, "user:status").await else { unreachable!() };
    assert_eq!(status.status, Presence::Online);
    let mut heard = Vec::new();
    let mut told = Vec::new();
    while heard.len() + told.len() < 6 {
        match next(&mut one).await {
            ServerEvent::Message(message) => heard.push(message.id.as_str().to_owned()),
            ServerEvent::Delivered(delivered) => told.push(delivered.id.as_str().to_owned()),
            event => panic!("{event:?}"),
        }
    }
    assert_eq!(heard, ["to-m1", "to-m2", "to-m3"]);
    assert_eq!(told, ["m1", "m2", "m3"], "delivered only once the partner had them");
    world.stop().await;
}

async fn both_links_lost_at_once(doors: [Door; 2]) {
    let world = World::new().await;
    let (mut one, mut other) = world.pair(doors).await;
    // Both are known to have heard of the match, so the conversation stands without a link.
    one.send(&message("0", "hi")).await.unwrap();
    hear(&mut other).await;
    delivered(&mut one).await;
    other.send(&message("1", "hi")).await.unwrap();
    hear(&mut one).await;
    delivered(&mut other).await;
    one.send(&message("a", "x")).await.unwrap();
    other.send(&message("b", "y")).await.unwrap();
    one.cut();
    other.cut();
    one.resume(doors[0]).await.unwrap();
    other.resume(doors[1]).await.unwrap();
    assert!(one.established().resumed && other.established().resumed);
    let ServerEvent::Message(message) = until(&mut one, "chat:message").await else { unreachable!() };
    assert_eq!(message.id.as_str(), "b");
    let ServerEvent::Message(message) = until(&mut other, "chat:message").await else { unreachable!() };
    assert_eq!(message.id.as_str(), "a");
    world.stop().await;
}

async fn a_takeover_loses_and_doubles_nothing(doors: [Door; 2]) {
    let world = World::with(&[("DUOLOGUE_LIMITS_EVENTS_PER_MINUTE", "100000")]).await;
    let (mut one, mut other) = world.pair(doors).await;
    let mut sent = 0;
    for round in 0..12 {
        for _ in 0..10 {
            one.send(&message(&format!("m{sent}"), "flow")).await.unwrap();
            sent += 1;
        }
        // While the first link still writes, a second one takes the session.
        other.resume(doors[round % 2]).await.unwrap();
        assert!(other.established().resumed, "round {round}");
    }
    for index in 0..sent {
        assert_eq!(hear(&mut other).await.0, format!("m{index}"));
    }
    for index in 0..sent {
        assert_eq!(delivered(&mut one).await, format!("m{index}"), "and nobody saw it reconnect");
    }
    world.stop().await;
}

async fn a_partner_who_does_not_come_back_is_told(doors: [Door; 2]) {
    let world = World::with(&[("DUOLOGUE_SESSION_RESUME_WINDOW_MS", "300")]).await;
    let (mut one, mut other) = world.pair(doors).await;
    one.send(&message("m", "read me")).await.unwrap();
    hear(&mut other).await;
    delivered(&mut one).await;
    other.cut();
    expect(&mut one, "user:status").await;
    let ServerEvent::Unmatched(unmatched) = expect(&mut one, "user:unmatched").await else { unreachable!() };
    assert_eq!(serde_json::to_value(unmatched.reason).unwrap(), "disconnected");
    other.resume(doors[1]).await.unwrap();
    let established = other.established();
    assert!(!established.resumed, "the window has passed");
    assert_eq!(serde_json::to_value(established.lost).unwrap(), "expired");
    assert_eq!((established.received, established.state), (0, Doing::Idle));
    world.stop().await;
}

#[tokio::test]
async fn wishes_narrow_the_search_and_widen_with_time() {
    let settings = [("DUOLOGUE_MATCHING_WIDER_AFTER_MS", "400"), ("DUOLOGUE_MATCHING_ANYONE_AFTER_MS", "800")];
    let world = World::with(&settings).await;
    let wish = |interests: &[&str], languages: &[&str]| {
        let list = |tags: &[&str]| tags.iter().map(|&tag| tag.to_owned()).collect();
        ClientEvent::Match(Wish { interests: list(interests), languages: list(languages), ..Wish::default() })
    };
    let [mut rust, mut tea, mut both] =
        [world.client(Door::WebSocket).await, world.client(Door::WebSocket).await, world.client(Door::WebSocket).await];
    rust.send(&wish(&["Rust"], &["en"])).await.unwrap();
    expect(&mut rust, "user:matching").await;
    both.send(&wish(&["rust", "tea"], &["fr", "EN"])).await.unwrap();
    expect(&mut both, "user:matching").await;
    assert_eq!(matched(&mut both).await.common, ["Rust"]);
    matched(&mut rust).await;

    // Nobody shares this: the search widens by itself until anyone will do.
    tea.send(&wish(&["tea"], &["fr"])).await.unwrap();
    let mut stages = Vec::new();
    for _ in 0..3 {
        let ServerEvent::Matching(matching) = expect(&mut tea, "user:matching").await else { unreachable!() };
        stages.push(serde_json::to_value(matching.stage).unwrap());
    }
    assert_eq!(stages, ["exact", "wider", "anyone"]);
    world.stop().await;
}

#[tokio::test]
async fn two_who_have_just_met_meet_again_rather_than_nobody() {
    let settings = [("DUOLOGUE_MATCHING_WIDER_AFTER_MS", "200"), ("DUOLOGUE_MATCHING_ANYONE_AFTER_MS", "400")];
    let world = World::with(&settings).await;
    let (mut one, mut other) = world.pair([Door::WebSocket, Door::WebTransport]).await;
    one.send(&ClientEvent::Skip(Nothing {})).await.unwrap();
    expect(&mut other, "user:unmatched").await;
    other.send(&find()).await.unwrap();
    let ServerEvent::Matched(again) = until(&mut one, "user:matched").await else { unreachable!() };
    assert_eq!(again.matched_user.user, other.established().user.user);
    world.stop().await;
}

#[tokio::test]
async fn one_person_is_never_their_own_partner() {
    let world =
        World::with(&[("DUOLOGUE_MATCHING_WIDER_AFTER_MS", "100"), ("DUOLOGUE_MATCHING_ANYONE_AFTER_MS", "200")]).await;
    let (target, token) = (world.target().await, world.token().await);
    let connect =
        async |device| duologue::client::Client::connect(&target, Door::WebSocket, &token, Some(device)).await.unwrap();
    let (mut phone, mut desk) = (connect("phone").await, connect("desk").await);
    phone.send(&find()).await.unwrap();
    desk.send(&find()).await.unwrap();
    for client in [&mut phone, &mut desk] {
        for stage in ["exact", "wider", "anyone"] {
            let ServerEvent::Matching(matching) = expect(client, "user:matching").await else { unreachable!() };
            assert_eq!(serde_json::to_value(matching.stage).unwrap(), stage);
        }
    }
    let mut stranger = world.client(Door::WebTransport).await;
    stranger.send(&find()).await.unwrap();
    expect(&mut stranger, "user:matching").await;
    assert_eq!(matched(&mut stranger).await.matched_user.user, phone.established().user.user);
    matched(&mut phone).await;
    world.stop().await;
}

#[tokio::test]
async fn whoever_vanishes_before_hearing_of_a_match_frees_the_partner_soon() {
    let world = World::new().await;
    let mut waiting = world.client(Door::WebSocket).await;
    waiting.send(&find()).await.unwrap();
    expect(&mut waiting, "user:matching").await;
    // Speaks without ever acknowledging, then is gone.
    let mut ghost = world.client(Door::WebSocket).await;
    let frame = r#"{"event":"user:match","data":{},"seq":1}"#;
    ghost.wire().send(frame.into()).await.unwrap();
    matched(&mut waiting).await;
    ghost.cut();
    // It may be back in a moment; the partner is not left waiting for the whole window.
    expect(&mut waiting, "user:status").await;
    expect(&mut waiting, "user:unmatched").await;
    expect(&mut waiting, "user:matching").await;
    let mut next = world.client(Door::WebTransport).await;
    next.send(&find()).await.unwrap();
    assert_eq!(matched(&mut waiting).await.matched_user.user, next.established().user.user);
    world.stop().await;
}

#[tokio::test]
async fn a_link_lost_right_after_the_match_does_not_end_the_talk() {
    let world = World::new().await;
    let mut one = world.client(Door::WebSocket).await;
    let mut other = world.client(Door::WebTransport).await;
    one.send(&find()).await.unwrap();
    expect(&mut one, "user:matching").await;
    other.send(&find()).await.unwrap();
    matched(&mut one).await;
    // Cut before it has acknowledged that it heard of the match.
    other.cut();
    expect(&mut one, "user:status").await;
    other.resume(Door::WebSocket).await.unwrap();
    assert_eq!(other.established().state, Doing::Talking);
    until(&mut other, "user:matched").await;
    expect(&mut one, "user:status").await;
    one.send(&message("m", "still there?")).await.unwrap();
    assert_eq!(hear(&mut other).await.0, "m");
    world.stop().await;
}
