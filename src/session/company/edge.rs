//! The edge of a session that is at another node: carries its client's link there, frame by frame, and
//! knows nothing of the session itself.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::words::{self, Ended, Told};
use crate::nodes::{Beside, Broken, Incoming, Outgoing, Wire};
use crate::outbox::Batch;
use crate::protocol::Closing;
use crate::session::image::Image;
use crate::session::writing::write;
use crate::session::{Heard, LinkEnd, Reader, Sink, Source, StreamEnd, Streams, Writer};

/// Most bytes that are copied in one go, from stream to stream.
const COPY: usize = 32 * 1024;

/// Why nothing is carried any more.
pub(in crate::session) enum Over {
    /// The client's link is over; its session waits at home.
    Link,
    /// The way home is gone, or home is.
    Home,
    /// The session is over: this is its farewell.
    Said(Closing),
    /// The session comes here; this was on its way to it.
    Here(Box<Image>, VecDeque<Heard>),
    /// This node is about to stop.
    Stopping,
}

/// Carries a link until something ends. `stopping`: this node is about to.
pub(super) async fn carry<R: Reader, W: Writer, S: Streams>(
    reader: &mut R,
    writer: &mut W,
    streams: Option<&S>,
    wire: Wire,
    beside: Option<&Beside>,
    stopping: &CancellationToken,
    deadline: std::time::Duration,
) -> Over {
    let Wire { mut out, mut come } = wire;
    // Cancelled when the session is on its way here: nothing more is read from the client then.
    let turn = CancellationToken::new();
    let over = CancellationToken::new();
    let (answer, answers) = mpsc::channel(1);
    let up = async {
        let _over = over.clone().drop_guard();
        let ended = read_up(reader, &mut out, answers, &turn, &over).await;
        match &ended {
            Up::Link(ended) => drop(out.send(words::END, &[&[ended.code()]]).await),
            Up::Turn | Up::Home | Up::Over => {}
        }
        ended
    };
    let down = async {
        let ended = write_down(writer, &mut come, &answer, &turn, &over, deadline).await;
        if !matches!(ended, Down::Here(_)) {
            over.cancel();
        }
        ended
    };
    let sideways = async {
        tokio::select! {
            biased;
            () = over.cancelled() => {}
            () = turn.cancelled() => {}
            () = beside_both(streams, beside) => over.cancel(),
        }
    };
    let stop = async {
        tokio::select! {
            () = stopping.cancelled() => over.cancel(),
            () = over.cancelled() => {}
            () = turn.cancelled() => {}
        }
    };
    let (up, down, (), ()) = tokio::join!(up, down, sideways, stop);
    match (up, down) {
        (_, Down::Said(closing)) => Over::Said(closing),
        (Up::Turn, Down::Here(image)) => {
            // What was on its way is handed back, and then that was all.
            if out.send(words::DONE, &[]).await.is_err() {
                return Over::Here(image, VecDeque::new());
            }
            let mut back = VecDeque::new();
            while let Ok(Ok(Some((words::BACK, mut message)))) = timeout(deadline, come.next()).await {
                let kind = if message.has_remaining() { message.get_u8() } else { break };
                match words::heard(kind, message) {
                    Some((heard, _)) => back.push_back(heard),
                    None => break,
                }
            }
            Over::Here(image, back)
        }
        // It has not arrived: home keeps it.
        (Up::Link(_), _) | (_, Down::Link) => Over::Link,
        _ if stopping.is_cancelled() => Over::Stopping,
        _ => Over::Home,
    }
}

enum Up {
    Link(Ended),
    Home,
    Turn,
    Over,
}

/// Reads from the client and passes it on.
async fn read_up<R: Reader>(
    reader: &mut R,
    out: &mut Outgoing,
    mut answers: mpsc::Receiver<Told>,
    turn: &CancellationToken,
    over: &CancellationToken,
) -> Up {
    loop {
        let heard = tokio::select! {
            biased;
            () = over.cancelled() => return Up::Over,
            () = turn.cancelled() => return Up::Turn,
            heard = reader.recv() => heard,
        };
        let mut asked = None;
        match heard {
            Ok(Heard::Frame(frame)) => {
                let (kind, message) = words::frame(&frame, false);
                out.put(kind, &[&message]);
            }
            Ok(Heard::Asked(frame, answer)) => {
                let (kind, message) = words::frame(&frame, true);
                out.put(kind, &[&message]);
                asked = Some(answer);
            }
            Ok(Heard::Chunk(header, bytes)) => words::put_chunk(out, &header, &bytes),
            Err(LinkEnd::Closed) => return Up::Link(Ended::Closed),
            Err(LinkEnd::Lost(_)) => return Up::Link(Ended::Lost),
            Err(LinkEnd::TooBig) => return Up::Link(Ended::TooBig),
        }
        let written = tokio::select! {
            biased;
            written = out.flush() => written,
            () = over.cancelled() => return Up::Over,
        };
        if written.is_err() {
            return Up::Home;
        }
        if let Some(asked) = asked {
            let answer = tokio::select! {
                biased;
                answer = answers.recv() => answer.unwrap_or(Told::Nothing),
                () = over.cancelled() => return Up::Over,
                () = turn.cancelled() => return Up::Turn,
            };
            // Whoever has asked and is gone needs no answer.
            match answer {
                Told::Nothing => {}
                Told::Done => drop(asked.send(Ok(()))),
                Told::Refused(refusal) => drop(asked.send(Err(refusal))),
            }
        }
    }
}

enum Down {
    Link,
    Home,
    Said(Closing),
    Here(Box<Image>),
    Over,
}

/// Takes what comes from home to the client.
async fn write_down<W: Writer>(
    writer: &mut W,
    come: &mut Incoming,
    answer: &mpsc::Sender<Told>,
    turn: &CancellationToken,
    over: &CancellationToken,
    deadline: std::time::Duration,
) -> Down {
    let mut batch = Batch::default();
    loop {
        let message = tokio::select! {
            biased; // a farewell that has come is read before the end that comes with it
            message = come.next() => message,
            () = over.cancelled() => return Down::Over,
        };
        let (kind, message) = match message {
            Ok(Some(message)) => message,
            Ok(None) | Err(_) => return Down::Home,
        };
        let written = match kind {
            words::BATCH => match words::read_batch(message, &mut batch) {
                Some(()) => write(writer.send(&batch), deadline).await,
                None => return Down::Home,
            },
            words::CHUNK => match words::heard(kind, message) {
                Some((Heard::Chunk(header, bytes), _)) => write(writer.send_chunks(&[(header, bytes)]), deadline).await,
                _ => return Down::Home,
            },
            words::ANSWER => match serde_json::from_slice(&message) {
                Ok(said) => {
                    // Nobody waits for it any more where the link has ended.
                    let _ = answer.try_send(said);
                    Ok(())
                }
                Err(_) => return Down::Home,
            },
            words::CLOSING => return words::closing(&message).map_or(Down::Home, Down::Said),
            words::HOME => {
                return match serde_json::from_slice(&message) {
                    Ok(image) => {
                        turn.cancel();
                        Down::Here(image)
                    }
                    Err(_) => Down::Home,
                };
            }
            _ => return Down::Home,
        };
        if written.is_err() {
            return Down::Link;
        }
    }
}

/// Carries the streams of transfers, both ways, for as long as there are any.
async fn beside_both<S: Streams>(streams: Option<&S>, beside: Option<&Beside>) {
    let (Some(streams), Some(beside)) = (streams, beside) else { return std::future::pending().await };
    let mut up = FuturesUnordered::new();
    let mut down = FuturesUnordered::new();
    loop {
        tokio::select! {
            source = streams.accept() => match source {
                Ok(source) => up.push(copy_up(source, beside)),
                Err(_) => return,
            },
            stream = beside.accept() => match stream {
                Ok(stream) => down.push(copy_down(stream, streams)),
                Err(_) => return,
            },
            Some(()) = up.next() => {}
            Some(()) = down.next() => {}
        }
    }
}

async fn copy_up<S: Source>(mut source: S, beside: &Beside) {
    let Ok(mut out) = beside.open().await else { return source.stop() };
    let mut buffer = vec![0; COPY];
    loop {
        match source.read(&mut buffer).await {
            Ok(Some(read)) => match out.bytes(Bytes::copy_from_slice(&buffer[..read])).await {
                Ok(()) => {}
                Err(Broken::Aborted) => return source.stop(),
                // With it goes the link.
                Err(Broken::Lost(_)) => return,
            },
            Ok(None) => return out.finish(),
            Err(StreamEnd::Aborted) => return out.reset(),
            Err(StreamEnd::Lost) => return,
        }
    }
}

async fn copy_down<S: Streams>(mut stream: Incoming, streams: &S) {
    let Ok(mut sink) = streams.open().await else { return stream.stop() };
    let mut buffer = vec![0; COPY];
    loop {
        match stream.read(&mut buffer).await {
            Ok(Some(read)) => match sink.write(Bytes::copy_from_slice(&buffer[..read])).await {
                Ok(()) => {}
                Err(StreamEnd::Aborted) => return stream.stop(),
                Err(StreamEnd::Lost) => return,
            },
            Ok(None) => return sink.finish(),
            Err(Broken::Aborted) => return sink.reset(),
            Err(Broken::Lost(_)) => return,
        }
    }
}
