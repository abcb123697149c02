//! One etcd cluster: guarded writes and fenced reads.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coffer_vault_core::{Replaced, StoreUnavailable, Version, Versioned};
use etcd_client::{Compare, CompareOp, GetOptions, GetResponse, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse};

use super::config::{EtcdCell, EtcdConfig, EtcdConfigError};
use super::member::{Member, Need};

/// Entries of one answer, each of 64 KiB at most.
const PAGE: usize = 256;
/// Between two looks at a member that lags.
const POLL: Duration = Duration::from_millis(5);
/// A revision that no key has.
const NEVER: i64 = -1;

pub(crate) struct Cell {
    pub(crate) number: u16,
    pub(crate) fence: u64,
    pub(crate) members: Vec<Member>,
    pub(crate) timeout: Duration,
    slots: Vec<RangeInclusive<u16>>,
    records: Vec<u8>,
    fence_key: Vec<u8>,
    /// The highest revision that a majority has answered with.
    highest: AtomicU64,
    /// The cell has answered with less than it once had. It is not asked again.
    went_back: AtomicBool,
    /// The last answer had another fence.
    other_fence: AtomicBool,
    /// The revision that the next compaction goes up to.
    pub(crate) compact_to: AtomicI64,
}

/// What a fenced read gives: the entries, unless the fence is another, and the revision that they were read at.
struct Read {
    revision: u64,
    found: Option<GetResponse>,
}

/// Entries in order of their keys.
pub(crate) struct Page {
    pub(crate) entries: Vec<(Vec<u8>, Versioned)>,
    /// Whether the cell has more.
    pub(crate) more: bool,
}

impl Cell {
    pub(crate) async fn new(cell: &EtcdCell, config: &EtcdConfig) -> Result<Self, EtcdConfigError> {
        let mut members = Vec::with_capacity(cell.members.len());
        for endpoint in &cell.members {
            members.push(Member::new(endpoint, config).await?);
        }
        Ok(Self {
            number: cell.cell,
            fence: cell.fence,
            members,
            timeout: config.timeout,
            slots: cell.slots.clone(),
            records: format!("{}records/", config.prefix).into_bytes(),
            fence_key: format!("{}fence", config.prefix).into_bytes(),
            highest: AtomicU64::new(0),
            went_back: AtomicBool::new(false),
            other_fence: AtomicBool::new(false),
            compact_to: AtomicI64::new(0),
        })
    }

    pub(crate) fn holds(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }

    /// What most members agree on, read now.
    pub(crate) async fn newest(&self, key: &[u8]) -> Result<Option<Versioned>, StoreUnavailable> {
        self.read_one(key, Need::Majority, self.patience()).await?.value()
    }

    /// What the preferred member has.
    pub(crate) async fn stale(&self, key: &[u8]) -> Result<Option<Versioned>, StoreUnavailable> {
        self.read_one(key, Need::ItselfAlone, self.patience()).await?.value()
    }

    /// What the preferred member has once it has reached `version`.
    pub(crate) async fn at_least(&self, key: &[u8], version: Version) -> Result<Option<Versioned>, StoreUnavailable> {
        let deadline = Instant::now() + self.patience();
        loop {
            let left = deadline.checked_duration_since(Instant::now()).ok_or(StoreUnavailable)?;
            let read = self.read_one(key, Need::ItselfAlone, left).await?;
            if read.revision >= version.0 {
                return read.value();
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Up to `limit` entries from the first whose key is greater than `after`.
    pub(crate) async fn page(&self, after: &[u8], limit: usize) -> Result<Page, StoreUnavailable> {
        let (first, mut end) = ([&self.records, after, &[0]].concat(), self.records.clone());
        // The prefix ends in a slash: the next byte is the end of all that begins with it.
        end.pop();
        end.push(b'/' + 1);
        let limit = i64::try_from(limit.min(PAGE)).map_err(|_| StoreUnavailable)?;
        let options = GetOptions::new().with_range(end).with_limit(limit);
        let read = self.read(first, options, Need::Majority, self.patience()).await?;
        let found = read.found.ok_or(StoreUnavailable)?;
        let entry = |there: &KeyValue| Some((there.key().strip_prefix(&self.records[..])?.to_vec(), versioned(there)));
        Ok(Page { entries: found.kvs().iter().filter_map(entry).collect(), more: found.more() })
    }

    /// Replaces or deletes, if key and fence are as expected. One member is asked, once: whoever wants to know what has
    /// become of an unknown outcome sends it again.
    pub(crate) async fn write(&self, key: &[u8], expected: Option<Version>, value: Option<&[u8]>) -> Replaced {
        let key = self.key(key);
        let revision = match expected {
            None => 0,
            // 0 would stand for no value.
            Some(Version(0)) => NEVER,
            Some(Version(version)) => i64::try_from(version).unwrap_or(NEVER),
        };
        let write = match value {
            Some(value) => TxnOp::put(key.clone(), value, None),
            None => TxnOp::delete(key.clone(), None),
        };
        let guard = Compare::mod_revision(key.clone(), CompareOp::Equal, revision);
        let transaction = Txn::new()
            .when([guard, self.fence_is(self.fence)])
            .and_then([write])
            .or_else(self.fenced(key, GetOptions::new()));
        let asked = self.in_order(Need::Majority).next();
        let answer = match asked {
            Some(member) => self.ask(member, Need::Majority, self.timeout, transaction).await,
            None => None,
        };
        match answer {
            None => Replaced::Unknown,
            Some((answer, revision)) if answer.succeeded() => Replaced::Applied(Version(revision)),
            // With another fence nothing was written; but what stands there is not to be believed either.
            Some((answer, _)) => {
                self.found(answer).map_or(Replaced::Unknown, |found| Replaced::Conflict(value_of(&found)))
            }
        }
    }

    /// Sends a transaction that needs a majority to one member after the other until one answers.
    pub(crate) async fn ask_any(&self, transaction: &Txn) -> Option<(TxnResponse, u64)> {
        self.ask_in_order(Need::Majority, self.patience(), transaction).await
    }

    pub(crate) fn fence_is(&self, fence: u64) -> Compare {
        Compare::value(self.fence_key.clone(), CompareOp::Equal, self.fence_text(fence))
    }

    /// The cell's number comes with it: a site whose configuration has taken one cell for another is refused.
    pub(crate) fn fence_text(&self, fence: u64) -> String {
        format!("{}:{fence}", self.number)
    }

    pub(crate) fn fence_key(&self) -> &[u8] {
        &self.fence_key
    }

    async fn read_one(&self, key: &[u8], need: Need, limit: Duration) -> Result<Read, StoreUnavailable> {
        self.read(self.key(key), GetOptions::new(), need, limit).await
    }

    /// Reads keys and fence at one revision.
    async fn read(
        &self,
        key: Vec<u8>,
        options: GetOptions,
        need: Need,
        limit: Duration,
    ) -> Result<Read, StoreUnavailable> {
        let options = if need == Need::ItselfAlone { options.with_serializable() } else { options };
        let transaction = Txn::new().and_then(self.fenced(key, options));
        let (answer, revision) = self.ask_in_order(need, limit, &transaction).await.ok_or(StoreUnavailable)?;
        Ok(Read { revision, found: self.found(answer) })
    }

    /// Reads that [`found`](Self::found) understands.
    fn fenced(&self, key: Vec<u8>, options: GetOptions) -> [TxnOp; 2] {
        // Serializable or not, both: a transaction is only as cheap as its dearest read.
        let fence = TxnOp::get(self.fence_key.clone(), Some(options.clone().with_range([]).with_limit(0)));
        [TxnOp::get(key, Some(options)), fence]
    }

    /// What was read, if the fence is the expected one.
    fn found(&self, answer: TxnResponse) -> Option<GetResponse> {
        let mut reads = answer.op_responses().into_iter();
        let (Some(TxnOpResponse::Get(found)), Some(TxnOpResponse::Get(fence))) = (reads.next(), reads.next()) else {
            return None;
        };
        let stands = fence.kvs().first().map(|fence| String::from_utf8_lossy(fence.value()).into_owned());
        let expected = self.fence_text(self.fence);
        let is_other = stands.as_ref() != Some(&expected);
        if !self.other_fence.swap(is_other, Ordering::AcqRel) && is_other {
            tracing::error!(cell = self.number, ?stands, expected, "the cell has another fence and is not served");
        }
        (!is_other).then_some(found)
    }

    async fn ask_in_order(&self, need: Need, limit: Duration, transaction: &Txn) -> Option<(TxnResponse, u64)> {
        let deadline = Instant::now() + limit;
        for member in self.in_order(need) {
            let left = deadline.checked_duration_since(Instant::now())?;
            if let Some(answer) = self.ask(member, need, left.min(self.timeout), transaction.clone()).await {
                return Some(answer);
            }
        }
        None
    }

    /// Those that have failed a moment ago come last.
    fn in_order(&self, need: Need) -> impl Iterator<Item = &Member> {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by_key(|member| member.is_aside(need));
        members.into_iter()
    }

    /// Asks one member. The answer comes with its revision.
    async fn ask(&self, member: &Member, need: Need, limit: Duration, transaction: Txn) -> Option<(TxnResponse, u64)> {
        if self.went_back.load(Ordering::Acquire) {
            return None;
        }
        let floor = self.highest.load(Ordering::Acquire);
        let answer = member.transact(need, limit, transaction).await?;
        let revision = u64::try_from(answer.header()?.revision()).ok()?;
        if need == Need::Majority {
            self.highest.fetch_max(revision, Ordering::AcqRel);
            if revision < floor {
                self.went_back.store(true, Ordering::Release);
                let why =
                    "the cell has gone back, as after a restore: it is not served until this process is restarted";
                tracing::error!(cell = self.number, revision, floor, "{why}");
            }
        }
        // Another task may have seen it in the meantime.
        (!self.went_back.load(Ordering::Acquire)).then_some((answer, revision))
    }

    /// Time for two members to fail in.
    fn patience(&self) -> Duration {
        self.timeout * 2
    }

    fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.records, key].concat()
    }
}

impl Read {
    fn value(self) -> Result<Option<Versioned>, StoreUnavailable> {
        self.found.map(|found| value_of(&found)).ok_or(StoreUnavailable)
    }
}

fn value_of(found: &GetResponse) -> Option<Versioned> {
    found.kvs().first().map(versioned)
}

fn versioned(there: &KeyValue) -> Versioned {
    // etcd's revisions are positive.
    Versioned { value: there.value().to_vec(), version: Version(there.mod_revision().unsigned_abs()) }
}
