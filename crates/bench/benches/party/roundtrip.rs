//! A follower's calls, one at a time, beside a bare socket between two processes.
//!
//! Nearly all of either is the two wake-ups of a sleeping peer, whose price depends on where the scheduler puts the two
//! and on how deep the cores sleep: one core is handed over in a few microseconds, another core may have to be woken
//! for fifty. So the table tells it several times: on one core; on two; on two that a process of the lowest priority
//! keeps from idling; for the floor alone, with both sides asking the socket again and again instead of sleeping; and as
//! the scheduler likes it, which compares its choices more than the programs.

use std::path::Path;
use std::process::Command;

use level_party::{Db, Role};
use level_party_bench::{Child, Data, Random, Result, Samples, Table, Unit};

use crate::echo::{Floor, GET, PUT, Wait};
use crate::member;
use crate::settings::Settings;

/// Floor and follower take turns this often.
const TURNS: usize = 20;
/// Entries of the database that is read: a few tables, or all of a small run.
const ENTRIES: usize = 100_000;

pub fn measure(settings: &Settings) -> Result<Table> {
    let dir = settings.temporary()?;
    let data = Data::new(settings.entries().min(ENTRIES));
    let mut leader = member::start(&dir.path().join("db"), "leader")?;
    leader.ask(&format!("fill-entries {}", data.entries()))?;
    let socket = dir.path().join("floor.sock");
    let server = Floor::start(&socket)?;
    let db = Db::open(dir.path().join("db"))?;
    if db.role() != Role::Follower {
        return Err("this process should have become a follower".into());
    }

    let mut table = Table::new("One call at a time between two processes", Unit::Micros);
    let calls = settings.calls();
    let mut caller = Caller::new(db, data, &socket)?;
    let servers = [leader.pid(), server.pid()];
    if let Err(error) = on_chosen_cores(&mut caller, &servers, &socket, calls, &mut table) {
        table.note(format!("No rows on chosen cores: {error}."));
    }
    caller.measure(calls, ", as scheduled", &mut table)?;
    Ok(table)
}

fn on_chosen_cores(
    caller: &mut Caller,
    servers: &[u32],
    socket: &Path,
    calls: usize,
    table: &mut Table,
) -> Result<()> {
    let cores = Cores::allowed()?;
    let [one, other] = cores.two()?;
    let myself = std::process::id();
    let put_all = |pids: &[u32], core: &str| pids.iter().try_for_each(|pid| place(*pid, core));

    place(myself, &one)?;
    put_all(servers, &one)?;
    caller.measure(calls, ", one core", table)?;
    put_all(servers, &other)?;
    caller.measure(calls, ", two cores", table)?;
    spinning(socket, calls, table)?;
    {
        let _burners = [burner(&one)?, burner(&other)?];
        caller.measure(calls, ", two cores kept awake", table)?;
    }
    place(myself, &cores.list)?;
    put_all(servers, &cores.list)
}

/// The cores this process may run on, as the system writes them (`0-3,6`).
struct Cores {
    list: String,
}

impl Cores {
    fn allowed() -> Result<Cores> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let list = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .ok_or("the system does not say which cores there are")?;
        Ok(Cores {
            list: list.trim().to_owned(),
        })
    }

    /// The first and the last.
    fn two(&self) -> Result<[String; 2]> {
        let mut numbers = self.list.split([',', '-']).map(str::to_owned);
        match (numbers.next(), numbers.next_back()) {
            (Some(first), Some(last)) => Ok([first, last]),
            _ => Err("there is only one core".into()),
        }
    }
}

/// Lets all threads of a process run on these cores only, and those that they start.
fn place(pid: u32, cores: &str) -> Result<()> {
    let output = Command::new("taskset")
        .args(["-a", "-c", "-p", cores, &pid.to_string()])
        .output()
        .map_err(|error| format!("taskset: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}

/// A process of the lowest priority that never sleeps.
fn burner(core: &str) -> Result<Child> {
    let mut command = Command::new("nice");
    command
        .args(["-n", "19", "taskset", "-c", core])
        .arg(std::env::current_exe()?)
        .args(["--role", "burn"]);
    let mut child = Child::start("a burner", &mut command)?;
    child.hear()?;
    Ok(child)
}

/// Makes the calls of all kinds in turn.
struct Caller {
    db: Db,
    data: Data,
    random: Random,
    floor_get: Floor,
    floor_put: Floor,
}

#[derive(Default)]
struct Times {
    floor_get: Samples,
    get: Samples,
    floor_put: Samples,
    put: Samples,
}

impl Caller {
    fn new(db: Db, data: Data, socket: &Path) -> Result<Caller> {
        Ok(Caller {
            db,
            data,
            random: Random::new(2),
            floor_get: Floor::connect(socket, GET, Wait::Block)?,
            floor_put: Floor::connect(socket, PUT, Wait::Block)?,
        })
    }

    fn measure(&mut self, calls: usize, how: &str, table: &mut Table) -> Result<()> {
        self.turn(calls / TURNS + 1, &mut Times::default())?;
        let mut times = Times::default();
        for _ in 0..TURNS {
            self.turn(calls / TURNS + 1, &mut times)?;
        }
        table.group(format!("get{how}"));
        table.row("floor: bare socket", Some(times.floor_get.summary(1)));
        table.row("follower", Some(times.get.summary(1)));
        table.group(format!("put{how}"));
        table.row("floor: bare socket", Some(times.floor_put.summary(1)));
        table.row("follower", Some(times.put.summary(1)));
        Ok(())
    }

    fn turn(&mut self, calls: usize, times: &mut Times) -> Result<()> {
        let (db, data, random) = (&self.db, &self.data, &mut self.random);
        let mut any = || random.below(data.entries() as u64) as usize;
        let floor = |floor: &mut Floor, times: &mut Samples| {
            times.time_each(0..calls, |_| floor.round_trip())
        };
        floor(&mut self.floor_get, &mut times.floor_get)?;
        times
            .get
            .time_each(0..calls, |_| match db.get(data.key(any()))? {
                Some(_) => Ok(()),
                None => Err("a get found nothing".into()),
            })?;
        floor(&mut self.floor_put, &mut times.floor_put)?;
        times.put.time_each(0..calls, |_| {
            let index = any();
            Ok(db.put(data.key(index), data.value(index))?)
        })
    }
}

fn spinning(socket: &Path, calls: usize, table: &mut Table) -> Result<()> {
    let mut floor = Floor::connect(socket, GET, Wait::Spin)?;
    let mut times = Samples::default();
    times.time_each(0..calls, |_| floor.round_trip())?;
    table.group("get, two cores, nobody sleeps");
    table.row("bare socket, both spin", Some(times.summary(1)));
    Ok(())
}
