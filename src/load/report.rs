//! What a run has shown: for people, and as JSON.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::gaps::Class;
use super::ledger::Broken;

/// Longest time that is told apart, in microseconds: ten minutes.
const LONGEST: u64 = 600_000_000;

/// The end of a run.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Pairs that met.
    pub pairs: usize,
    /// Seconds from the first message to the last.
    pub seconds: f64,
    /// Messages that were said, and heard.
    pub said: usize,
    /// (heard)
    pub heard: usize,
    /// Messages heard a second.
    pub messages_per_second: f64,
    /// Sessions established a second, while they arrived.
    pub setups_per_second: f64,
    /// From said to heard.
    pub latency: Quantiles,
    /// From said to told that it was delivered.
    pub delivered: Quantiles,
    /// What became of files, if any were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesReport>,
    /// Links lost.
    pub links_lost: usize,
    /// Moves from link to link without a gap.
    pub moves: usize,
    /// From a link lost to the session on the next one.
    pub without_link: Quantiles,
    /// Conversations that ended though neither left.
    pub conversations_lost: usize,
    /// How often a side's node was lost and the conversation went on at another.
    pub nodes_lost: usize,
    /// Messages that came again after that, and were dropped by their ids.
    pub repeated: usize,
    /// For each pair the longest time in which something was said and nothing came back.
    pub longest_gap: Quantiles,
    /// All such times, by their length.
    pub gaps: Vec<Class>,
    /// What was allowed, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_gap_ms: Option<f64>,
    /// Resident bytes of the server at the end, if it runs here; and before the first session.
    pub server_bytes: Option<u64>,
    /// (before)
    pub server_bytes_before: Option<u64>,
    /// The contract: all of these must be zero.
    pub broken: Broken,
    /// What kept pairs from meeting or going on.
    pub failures: Vec<String>,
}

impl Report {
    /// Whether every promise was kept, and nobody waited longer than was allowed.
    pub fn is_kept(&self) -> bool {
        let in_time = self.max_gap_ms.is_none_or(|most| self.longest_gap.max <= most);
        self.broken.total() == 0 && self.conversations_lost == 0 && self.failures.is_empty() && in_time
    }
}

/// What became of files.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilesReport {
    /// Files that were asked for, of all pairs together.
    pub asked: usize,
    /// Files that were offered before the time was over.
    pub sent: usize,
    /// Files that came as they were sent.
    pub arrived: usize,
    /// Bytes of these, in millions a second, all pairs together, until the last came.
    pub megabytes_per_second: f64,
    /// From offered to here.
    pub time: Quantiles,
}

/// Times at which so much of a hundred is done, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// Half.
    pub p50: f64,
    /// 99 of a hundred.
    pub p99: f64,
    /// 999 of a thousand.
    pub p999: f64,
    /// All.
    pub max: f64,
}

/// Times, as they are measured.
#[derive(Debug, Clone)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("these bounds are allowed"))
    }
}

impl Times {
    /// Notes one.
    pub fn note(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST);
        self.0.saturating_record(micros.clamp(1, LONGEST));
    }

    /// The usual quantiles.
    pub fn quantiles(&self) -> Quantiles {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        if self.0.is_empty() {
            return Quantiles::default();
        }
        let max = self.0.max() as f64 / 1000.0;
        Quantiles { count: self.0.len(), p50: at(0.5), p99: at(0.99), p999: at(0.999), max }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return f.write_str("none");
        }
        let Self { p50, p99, p999, max, .. } = self;
        write!(f, "p50 {p50:.2} ms   p99 {p99:.2} ms   p99.9 {p999:.2} ms   max {max:.2} ms")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / 1024.0 / 1024.0;
        writeln!(f, "pairs          {} ({:.0} set-ups a second)", self.pairs, self.setups_per_second)?;
        let Self { said, heard, seconds, .. } = self;
        writeln!(
            f,
            "messages       {said} said, {heard} heard in {seconds:.1} s: {:.0} a second",
            self.messages_per_second
        )?;
        writeln!(f, "heard after    {}", self.latency)?;
        writeln!(f, "told after     {}", self.delivered)?;
        if let Some(FilesReport { asked, sent, arrived, megabytes_per_second, time }) = &self.files {
            let broken = self.broken.files();
            writeln!(
                f,
                "files          {asked} asked for, {sent} sent, {arrived} arrived, {broken} broken: \
                 {megabytes_per_second:.1} MB a second in all"
            )?;
            writeln!(f, "arrived after  {time}")?;
        }
        writeln!(f, "links          {} lost, {} moves without a gap", self.links_lost, self.moves)?;
        writeln!(f, "without link   {}", self.without_link)?;
        let Self { conversations_lost, nodes_lost, repeated, .. } = self;
        writeln!(
            f,
            "conversations  {conversations_lost} lost; {nodes_lost} times a side's node was lost and they went on, \
             {repeated} messages came again and were dropped"
        )?;
        let allowed = self.max_gap_ms.map_or_else(String::new, |most| format!("   allowed {most:.0} ms"));
        writeln!(f, "longest gap    {}{allowed}", self.longest_gap)?;
        let classes = self.gaps.iter().filter(|class| class.count > 0);
        let classes: Vec<_> = classes
            .map(|Class { up_to_ms, count }| {
                up_to_ms.map_or_else(|| format!("longer: {count}"), |most| format!("to {most} ms: {count}"))
            })
            .collect();
        writeln!(f, "gaps           {}", if classes.is_empty() { "none".to_owned() } else { classes.join("   ") })?;
        if let Some(bytes) = self.server_bytes {
            let before = self.server_bytes_before.map_or(0.0, mib);
            let each = self.server_bytes_before.map(|before| bytes.saturating_sub(before) as f64 / 1024.0);
            let each = each.map_or(0.0, |kib| kib / (2 * self.pairs.max(1)) as f64);
            writeln!(f, "server         {:.1} MiB resident, {before:.1} before; {each:.1} KiB a session", mib(bytes))?;
        }
        let Broken { lost, doubled, reordered, untrue, untold, invented, ended, .. } = self.broken;
        let Broken { files_lost, files_damaged, files_cancelled, .. } = self.broken;
        writeln!(
            f,
            "broken         {} (lost {lost}, doubled {doubled}, reordered {reordered}, told and not heard {untrue}, \
             heard and not told {untold}, never said {invented}, sessions or talks ended {ended}; files lost {files_lost}, damaged \
             {files_damaged}, cancelled {files_cancelled})",
            self.broken.total()
        )?;
        for failure in self.failures.iter().take(5) {
            writeln!(f, "failed         {failure}")?;
        }
        if self.failures.len() > 5 {
            writeln!(f, "               and {} more", self.failures.len() - 5)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_fails_by_a_lost_conversation_and_by_a_gap_over_what_is_allowed() {
        let longest_gap = Quantiles { count: 1, max: 5_001.0, ..Quantiles::default() };
        let run = Report { longest_gap, ..Report::default() };
        assert!(run.is_kept(), "nothing was asked for");
        assert!(!Report { max_gap_ms: Some(5_000.0), ..run.clone() }.is_kept());
        assert!(Report { max_gap_ms: Some(6_000.0), ..run.clone() }.is_kept());
        assert!(!Report { conversations_lost: 1, ..run }.is_kept());
    }

    #[test]
    fn quantiles_are_of_what_was_noted() {
        let mut times = Times::default();
        assert_eq!(times.quantiles(), Quantiles::default());
        (1..=1000).for_each(|ms| times.note(Duration::from_millis(ms)));
        let found = times.quantiles();
        let near = |value: f64, expected: f64| (value - expected).abs() < expected / 500.0;
        assert!(near(found.p50, 500.0) && near(found.p99, 990.0) && near(found.max, 1000.0), "{found}");
        times.note(Duration::from_secs(100_000));
        assert!(near(times.quantiles().max, 600_000.0), "what is longer counts as the longest");
    }
}
