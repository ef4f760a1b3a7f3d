//! Replicas, an API server and a hostile world: at no moment may two of them act, and when the world is quiet one does.

use proptest::prelude::*;

use super::*;

/// The model's step, in milliseconds.
const TICK: u64 = 10;
/// How long faults go on.
const STORM: u64 = 40_000;
/// How soon after them somebody leads for good: a lease, a look, and what was under way.
const CALM: u64 = 10_000;

/// What befalls a replica or the lease, in milliseconds.
#[derive(Debug, Clone)]
enum Fault {
    /// Killed, and started again under the same name.
    Kill { down: u64 },
    /// Ended in good order, and started again.
    Leave { down: u64 },
    /// Stopped with everything in it, and let go.
    Freeze { length: u64 },
    /// Requests are lost, or their answers.
    Cut { length: u64, answers: bool },
    /// Requests and answers take long; some are carried out when nobody waits for them any more.
    Slow { length: u64, there: u64, back: u64 },
    /// Somebody deletes the lease.
    Delete,
    /// Somebody edits the lease, and leaves the holder.
    Touch,
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => (0..8_000_u64).prop_map(|down| Fault::Kill { down }),
        2 => (0..8_000_u64).prop_map(|down| Fault::Leave { down }),
        3 => (100..9_000_u64).prop_map(|length| Fault::Freeze { length }),
        3 => (100..9_000_u64, any::<bool>()).prop_map(|(length, answers)| Fault::Cut { length, answers }),
        3 => (1_000..9_000_u64, 0..5_000_u64, 0..1_500_u64)
            .prop_map(|(length, there, back)| Fault::Slow { length, there, back }),
        1 => Just(Fault::Delete),
        1 => Just(Fault::Touch),
    ]
}

/// A request under way.
#[derive(Debug, Clone)]
struct Flight {
    ask: Ask,
    /// By its sender's clock.
    sent: Moment,
    /// When its sender gives up waiting, when the server carries it out, and when the answer is there.
    given_up: u64,
    lands: Option<u64>,
    back: Option<u64>,
    answer: Option<Answer>,
}

struct Replica {
    name: String,
    starts: u32,
    /// Clocks begin anywhere and run at speeds that differ by up to a fifth of what the term leaves.
    skew_ms: u64,
    speed: f64,
    election: Option<Election>,
    flight: Option<Flight>,
    down_until: u64,
    frozen_until: u64,
    cut_until: u64,
    loses_answers: bool,
    slow_until: u64,
    delay: (u64, u64),
}

impl Replica {
    fn new(number: u64, speed: f64) -> Self {
        Self {
            name: format!("r{number}"),
            starts: 0,
            skew_ms: 1_000_003 * number,
            speed,
            election: None,
            flight: None,
            down_until: 0,
            frozen_until: 0,
            cut_until: 0,
            loses_answers: false,
            slow_until: 0,
            delay: (5, 5),
        }
    }

    fn clock(&self, now: u64) -> Moment {
        Moment::at(Duration::from_millis(self.skew_ms) + Duration::from_millis(now).mul_f64(self.speed))
    }

    fn acts(&self, now: u64) -> bool {
        self.election.as_ref().and_then(Election::until).is_some_and(|until| self.clock(now) < until)
    }

    fn hit(&mut self, fault: &Fault, now: u64) {
        match fault {
            Fault::Kill { down } => {
                (self.election, self.down_until) = (None, now + down);
            }
            Fault::Leave { down } => {
                let at = self.clock(now);
                if let Some(election) = &mut self.election {
                    election.leave(at);
                }
                self.down_until = now + down;
            }
            Fault::Freeze { length } => self.frozen_until = now + length,
            Fault::Cut { length, answers } => (self.cut_until, self.loses_answers) = (now + length, *answers),
            Fault::Slow { length, there, back } => {
                (self.slow_until, self.delay) = (now + length, (*there, *back));
            }
            Fault::Delete | Fault::Touch => {}
        }
    }

    /// What the process itself does in a tick.
    fn turn(&mut self, now: u64) {
        if self.frozen_until > now {
            return;
        }
        let at = self.clock(now);
        if self.election.is_none() {
            if self.down_until > now {
                return;
            }
            self.starts += 1;
            self.flight = None;
            self.election = Some(Election::new(Candidate::new(&self.name, &self.starts.to_string()), at));
        }
        let Some(election) = &mut self.election else { return };
        if let Some(flight) = &mut self.flight {
            let answered = flight.back.filter(|back| *back <= now).and_then(|_| flight.answer.take());
            let answer = match answered {
                Some(answer) => answer,
                None if flight.given_up <= now => Answer::Failed(OneLine::new("no answer")),
                None => return,
            };
            let flight = self.flight.take().expect("under way");
            election.heard(&flight.ask, flight.sent, &answer, at);
        }
        match election.next(at) {
            Step::Ask(ask) => {
                let cut = self.cut_until > now;
                let (there, back) = if self.slow_until > now { self.delay } else { (5, 5) };
                let lands = (!cut || self.loses_answers).then_some(now + there);
                let back = lands.filter(|_| !cut).map(|lands| lands + back);
                let given_up = now + u64::try_from(REQUEST_MAX.as_millis()).expect("short");
                self.flight = Some(Flight { ask, sent: at, given_up, lands, back, answer: None });
            }
            Step::Wait(_) => {}
            Step::Done => self.election = None,
        }
    }
}

#[derive(Default)]
struct Server {
    lease: Option<Lease>,
    writes: u64,
    /// Requests that are carried out though their senders gave up, or are gone.
    late: Vec<(u64, Ask)>,
}

impl Server {
    fn carry_out(&mut self, ask: &Ask) -> Answer {
        let Ask::Write(entry) = ask else { return Answer::Lease(self.lease.clone()) };
        if entry.over != self.lease.as_ref().map(|lease| lease.version.clone()) {
            return Answer::Conflict;
        }
        self.writes += 1;
        let version = self.writes.to_string();
        let lease = Lease { version, holder: entry.holder.clone(), lasts: Some(LEASE), transitions: entry.transitions };
        self.lease = Some(lease.clone());
        Answer::Lease(Some(lease))
    }

    fn turn(&mut self, replicas: &mut [Replica], now: u64) {
        for (_, ask) in self.late.extract_if(.., |(lands, _)| *lands <= now).collect::<Vec<_>>() {
            self.carry_out(&ask);
        }
        for replica in replicas {
            let gone = replica.election.is_none();
            let Some(flight) = &mut replica.flight else { continue };
            if gone || flight.given_up <= now {
                // The sender waits no more; the request is under way all the same.
                self.late.extend(flight.lands.take().map(|lands| (lands, flight.ask.clone())));
            } else if flight.lands.is_some_and(|lands| lands <= now) {
                flight.lands = None;
                flight.answer = Some(self.carry_out(&flight.ask));
            }
        }
    }

    fn hit(&mut self, fault: &Fault) {
        match fault {
            Fault::Delete => self.lease = None,
            Fault::Touch => {
                self.writes += 1;
                if let Some(lease) = &mut self.lease {
                    lease.version = self.writes.to_string();
                }
            }
            Fault::Kill { .. }
            | Fault::Leave { .. }
            | Fault::Freeze { .. }
            | Fault::Cut { .. }
            | Fault::Slow { .. } => {}
        }
    }
}

/// Runs a story to its end; says what went wrong.
fn run(speeds: &[f64], faults: &[(u64, usize, Fault)]) -> Result<(), String> {
    let mut replicas: Vec<Replica> = (0..).zip(speeds).map(|(number, speed)| Replica::new(number, *speed)).collect();
    let mut server = Server::default();
    let (mut led, mut reigns, mut last) = (false, 0, None);
    for now in (0..STORM + 3 * CALM).step_by(usize::try_from(TICK).expect("small")) {
        for (_, who, fault) in faults.iter().filter(|(at, _, _)| *at / TICK * TICK == now) {
            let count = replicas.len();
            replicas[who % count].hit(fault, now);
            server.hit(fault);
        }
        server.turn(&mut replicas, now);
        replicas.iter_mut().for_each(|replica| replica.turn(now));
        let acting: Vec<&str> = replicas.iter().filter(|one| one.acts(now)).map(|one| one.name.as_str()).collect();
        if acting.len() > 1 {
            return Err(format!("{acting:?} act at {now}"));
        }
        led |= !acting.is_empty();
        // Every fault is over by then, also one that began at the storm's end and was long.
        if now >= STORM + 2 * CALM {
            let leader = acting.first().map(ToString::to_string);
            reigns += u32::from(leader != last);
            if leader.is_none() {
                return Err(format!("nobody acts at {now}, and nothing hinders them"));
            }
            last = leader;
        }
    }
    if !led || reigns > 1 {
        return Err(format!("the leader changed {reigns} times in a quiet world"));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_two_act_and_in_a_quiet_world_one_does(
        speeds in prop::collection::vec(0.95..1.05_f64, 2..4),
        faults in prop::collection::vec((0..STORM, 0..3_usize, fault()), 0..24),
    ) {
        prop_assert_eq!(run(&speeds, &faults), Ok(()));
    }
}

#[test]
fn a_killed_leader_is_replaced_in_less_than_five_seconds() {
    for killed_at in (10_000..11_000).step_by(50) {
        let mut replicas = [Replica::new(0, 1.0), Replica::new(1, 1.0)];
        let mut server = Server::default();
        let mut taken_over = None;
        for now in (0..20_000).step_by(10) {
            if now == killed_at {
                let leader = replicas.iter_mut().find(|one| one.acts(now)).expect("one leads");
                leader.hit(&Fault::Kill { down: 60_000 }, now);
            }
            server.turn(&mut replicas, now);
            replicas.iter_mut().for_each(|replica| replica.turn(now));
            if now > killed_at && replicas.iter().any(|one| one.acts(now)) {
                taken_over = taken_over.or(Some(now - killed_at));
            }
        }
        let took = taken_over.expect("taken over");
        assert!((2_900..5_000).contains(&took), "killed at {killed_at}: {took} ms");
    }
}
