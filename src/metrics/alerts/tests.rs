use super::super::catalogue::FeedMetric;
use super::super::sample::FeedSample;
use super::rule::Condition;
use super::*;
use serde_json::json;

const T: WallMs = 1_800_000_000_000;

/// Alerts under one rule, and the seconds that have gone by.
struct Rig {
    alerts: Alerts,
    second: i64,
}

fn rule(changes: serde_json::Value) -> Rule {
    let mut rule = json!({
        "name": "lag", "metric": "workers.lag_ms", "condition": "above", "value": 100, "clear": 50, "for_ms": 2000, "clear_for_ms": 1000,
        "severity": "warning", "repeat_ms": 60000, "title": "A worker is late",
    });
    for (name, value) in changes.as_object().unwrap() {
        rule[name] = value.clone();
    }
    serde_json::from_value(rule).unwrap()
}

fn silence(id: &str, rule: Option<&str>, subject: Option<&str>, until: WallMs) -> Silence {
    let text = |text: Option<&str>| text.map(str::to_string);
    Silence { id: id.to_string(), rule: text(rule), subject: text(subject), since: T, until, by: "olga".to_string(), why: "w".to_string() }
}

impl Rig {
    fn new(rules: &[Rule]) -> Self {
        let mut alerts = Alerts { rules: BTreeMap::new(), ..Alerts::default() };
        for rule in rules {
            alerts.set_rule(rule.clone()).unwrap();
        }
        Self { alerts, second: 0 }
    }

    fn wall(&self) -> WallMs {
        T + self.second * 1_000
    }

    fn judge(&mut self, sample: &Sample) -> Vec<(What, Option<String>)> {
        self.notices(sample).into_iter().map(|notice| (notice.what, notice.alert.subject)).collect()
    }

    fn notices(&mut self, sample: &Sample) -> Vec<Notice> {
        self.second += 1;
        self.alerts.judge(sample, self.second * 1_000, self.wall())
    }

    fn lag(&mut self, lag_ms: f64) -> Vec<(What, Option<String>)> {
        self.judge(&lag(lag_ms))
    }
}

fn lag(lag_ms: f64) -> Sample {
    let mut sample = Sample::default();
    sample.values[Metric::WorkersLag] = Some(lag_ms);
    sample
}

fn feeds(down: &[(&str, f64)]) -> Sample {
    let feed = |&(name, down): &(&str, f64)| FeedSample {
        name: name.into(),
        down_seconds: down,
        latency_ms: None,
        why: Some(said!("test.down", "backoff: rst.")),
    };
    Sample { feeds: down.iter().map(feed).collect(), ..Sample::default() }
}

#[test]
fn an_alert_is_pending_fires_is_repeated_and_resolved() {
    let mut rig = Rig::new(&[rule(json!({}))]);
    assert_eq!(rig.lag(500.0), []);
    assert_eq!(rig.alerts.active()[0].state, Phase::Pending);
    assert_eq!(rig.lag(300.0), []);
    let fired = rig.notices(&lag(400.0));
    assert_eq!((fired.len(), fired[0].what, fired[0].routes.len()), (1, What::Firing, 4));
    let alert = &fired[0].alert;
    assert_eq!((alert.since, alert.fired_at, alert.peak, alert.value), (T + 1_000, Some(T + 3_000), Some(500.0), Some(400.0)));
    assert_eq!(alert.text, "workers.lag_ms is 400. The rule: above 100 for 2 s.");
    let said = json!([
        { "code": "alert.read", "values": { "metric": "workers.lag_ms", "value": 400.0 } },
        { "code": "rule.above_for", "values": { "limit": 100.0, "for_ms": 2_000 } },
    ]);
    assert_eq!(json!(alert.said), said);
    for _ in 0..59 {
        assert_eq!(rig.lag(200.0), []);
    }
    assert_eq!(rig.lag(200.0), [(What::Repeated, None)]);
    assert_eq!(rig.lag(10.0), []);
    assert_eq!(rig.lag(10.0), [(What::Resolved, None)]);
    assert!(rig.alerts.active().is_empty());
    let resolved = rig.alerts.resolved(T, rig.wall() + 1, 10);
    assert_eq!((resolved.len(), resolved[0].state, resolved[0].peak), (1, Phase::Resolved, Some(500.0)));
    assert_eq!(rig.alerts.last_resolved_at(), Some(rig.wall()));
    assert_eq!(rig.alerts.rules(rig.wall()).next().map(|(.., fired)| fired), Some(1));
    assert_eq!(rig.alerts.rules(rig.wall() + WEEK_MS).next().map(|(.., fired)| fired), Some(0));
    // What passes before it fires is told to nobody, ever.
    assert_eq!((rig.lag(500.0), rig.lag(0.0), rig.alerts.resolved.len()), (vec![], vec![], 1));
}

#[test]
fn each_feed_has_its_own_alert_and_one_that_is_removed_is_not_wrong_any_more() {
    let mut rig = Rig::new(&[rule(
        json!({ "name": "down", "metric": "feed.down_seconds", "value": 5, "clear": 0, "for_ms": 0, "clear_for_ms": 0, "title": "Feed {subject} is down" }),
    )]);
    let some = |name: &str| Some(name.to_string());
    assert_eq!(rig.judge(&feeds(&[("a", 6.0), ("b", 0.0), ("c", 6.0)])), [(What::Firing, some("a")), (What::Firing, some("c"))]);
    let told = rig.notices(&feeds(&[("a", 7.0), ("b", 6.0), ("c", 0.0)]));
    assert_eq!(told.iter().map(|notice| notice.what).collect::<Vec<_>>(), [What::Firing, What::Resolved]);
    assert_eq!((told[0].alert.title.as_str(), told[0].alert.text.contains("backoff: rst")), ("Feed b is down", true));
    assert_eq!(rig.judge(&feeds(&[("b", 9.0)])), [(What::Resolved, some("a"))]);
    rig.alerts.set_rule(rule(json!({ "name": "down", "metric": "feed.down_seconds", "is_enabled": false }))).unwrap();
    assert_eq!(rig.judge(&feeds(&[("b", 9.0)])), [(What::Resolved, some("b"))]);
}

#[test]
fn what_is_silenced_or_acknowledged_is_shown_and_not_told() {
    let mut rig = Rig::new(&[rule(json!({ "for_ms": 0, "clear_for_ms": 0 }))]);
    rig.alerts.silence(silence("s", Some("lag"), None, T + 10_000)).unwrap();
    let fired = rig.notices(&lag(500.0));
    assert_eq!((&fired[0].routes[..], fired[0].alert.silenced_until), (&[Route::Page][..], Some(T + 10_000)));
    assert_eq!(rig.alerts.firing(Severity::Warning).count(), 0, "the verdict does not count it");
    while rig.second < 10 {
        rig.lag(500.0);
    }
    assert_eq!((rig.alerts.silences().len(), rig.alerts.active()[0].silenced_until), (0, None), "its time is over");
    assert_eq!(rig.alerts.firing(Severity::Warning).count(), 1);
    let id = rig.alerts.active()[0].id.clone();
    assert_eq!(rig.alerts.acknowledge(&id, Some("olga"), rig.wall()).unwrap().what, What::Acknowledged);
    for _ in 0..120 {
        assert_eq!(rig.lag(500.0), [], "nothing is repeated that somebody has seen");
    }
    assert_eq!(rig.alerts.acknowledge(&id, None, rig.wall()).unwrap().what, What::Unacknowledged);
    assert_eq!(rig.lag(500.0), [(What::Repeated, None)]);
    assert_eq!(rig.lag(0.0), [(What::Resolved, None)]);
    assert!(matches!(rig.alerts.acknowledge(&id, Some("olga"), rig.wall()), Err(AlertError::Unknown { .. })), "it is over");
    rig.alerts.silence(silence("all", None, None, T + 999_000)).unwrap();
    assert_eq!(rig.notices(&lag(500.0))[0].routes, [Route::Page]);
    rig.alerts.unsilence("all", rig.wall()).unwrap();
    assert_eq!(rig.alerts.active()[0].silenced_until, None);
    assert!(rig.alerts.unsilence("all", rig.wall()).is_err());
    assert!(rig.alerts.silence(silence("x", Some("nothing"), None, T)).is_err());
}

#[test]
fn rules_are_added_changed_and_taken_back() {
    let mut alerts = Alerts::default();
    let count = alerts.rules(T).count();
    alerts.set_rule(rule(json!({}))).unwrap();
    alerts.set_rule(rule(json!({ "name": "latency", "metric": "latency.p99_ms", "value": 10, "clear": 5 }))).unwrap();
    let of = |alerts: &Alerts, name: &str| {
        alerts.rules(T).find(|(rule, ..)| rule.name == name).map(|(rule, is_default, is_changed, _)| (rule.value, is_default, is_changed))
    };
    assert_eq!((alerts.rules(T).count(), of(&alerts, "lag")), (count + 1, Some((100.0, false, false))));
    assert_eq!(of(&alerts, "latency"), Some((10.0, true, true)));
    alerts.remove_rule("lag").unwrap();
    alerts.remove_rule("latency").unwrap();
    alerts.remove_rule("latency").unwrap();
    assert_eq!((of(&alerts, "lag"), of(&alerts, "latency")), (None, Some((50.0, true, false))));
    assert!(matches!(alerts.remove_rule("lag"), Err(AlertError::Unknown { what: "rule", .. })));
    assert!(matches!(alerts.set_rule(rule(json!({ "metric": "nothing" }))), Err(AlertError::BadRule(_))));
    for number in 0..RULES_MAX {
        alerts.set_rule(rule(json!({ "name": format!("r{number}") }))).unwrap();
    }
    assert!(matches!(alerts.set_rule(rule(json!({ "name": "one_more" }))), Err(AlertError::TooMany { .. })));
    alerts.set_rule(rule(json!({ "name": "r0", "value": 200 }))).unwrap();
}

#[test]
fn a_restart_forgets_nothing_and_tells_nothing_twice() {
    let mut rig = Rig::new(&[rule(json!({ "for_ms": 0, "clear_for_ms": 1000 }))]);
    rig.lag(500.0);
    let id = rig.alerts.active()[0].id.clone();
    rig.alerts.acknowledge(&id, Some("olga"), rig.wall()).unwrap();
    rig.alerts.silence(silence("s", Some("lag"), None, T + 999_000)).unwrap();
    let kept = serde_json::to_string(&rig.alerts.kept()).unwrap();
    // The other clock has begun anew.
    let mut again = Rig { alerts: Alerts { rules: BTreeMap::new(), ..Alerts::default() }, second: 5 };
    again.alerts.remember(serde_json::from_str(&kept).unwrap(), 50, T + 5_000);
    assert_eq!(again.lag(500.0), []);
    let alert = again.alerts.active()[0];
    assert_eq!((alert.id.as_str(), alert.acknowledged_by.as_deref(), again.alerts.silences().len()), (id.as_str(), Some("olga"), 1));
    assert_eq!((again.lag(0.0), again.lag(0.0)), (vec![], vec![(What::Resolved, None)]));
    assert_eq!(serde_json::from_str::<Kept>("{}").unwrap(), Kept::default());
}

#[test]
fn nothing_grows_without_a_bound() {
    let all = rule(json!({ "name": "down", "metric": "feed.down_seconds", "value": 5, "clear": 0, "for_ms": 0, "clear_for_ms": 0 }));
    let mut rig = Rig::new(&[all]);
    let names: Vec<String> = (0..ALERTS_MAX + 50).map(|number| format!("feed-{number}")).collect();
    let down = |seconds: f64| feeds(&names.iter().map(|name| (name.as_str(), seconds)).collect::<Vec<_>>());
    assert_eq!(rig.judge(&down(9.0)).len(), ALERTS_MAX);
    assert_eq!(rig.judge(&down(9.0)).len(), 0);
    for _ in 0..5 {
        rig.judge(&down(0.0));
        rig.judge(&down(9.0));
    }
    assert!(rig.alerts.resolved.len() <= RESOLVED_MAX && rig.alerts.alerts.len() <= ALERTS_MAX && rig.alerts.tracks.len() <= names.len());
    for number in 0..SILENCES_MAX {
        rig.alerts.silence(silence(&number.to_string(), None, None, rig.wall() + 99_000)).unwrap();
    }
    assert!(rig.alerts.silence(silence("more", None, None, rig.wall() + 99_000)).is_err());
}

#[test]
fn a_hub_that_is_well_has_no_alerts_and_troubles_are_named() {
    let mut rig = Rig { alerts: Alerts::default(), second: 0 };
    let mut sample = Sample::default();
    for (metric, value) in [
        (Metric::StoreUp, 1.0),
        (Metric::LatencyP50, 0.3),
        (Metric::LatencyP95, 1.0),
        (Metric::LatencyP99, 4.0),
        (Metric::LatencyMax, 5.0),
        (Metric::WorkersLag, 3.0),
        (Metric::HostCpu, 60.0),
        (Metric::DescriptorsUsed, 0.1),
        (Metric::HostDiskFree, 0.5),
        (Metric::CertificateEnds, 60.0 * 86_400.0),
        (Metric::CanariesLost, 0.0),
        (Metric::BudgetDelivery, 1.0),
        (Metric::WorkersSilent, 0.0),
        (Metric::Panics, 0.0),
        (Metric::CommandsFailed, 0.0),
        (Metric::AuditFailures, 0.0),
    ] {
        sample.values[metric] = Some(value);
    }
    for _ in 0..1_200 {
        assert_eq!(rig.judge(&sample), [], "20 minutes");
    }
    assert!(rig.alerts.active().is_empty());
    let cases = [
        (Metric::StoreUp, Some(0.0), "store_down"),
        (Metric::CanariesLost, Some(2.0), "canaries_lost"),
        (Metric::LatencyMax, None, "canaries_gone"),
        (Metric::WorkersSilent, Some(1.0), "worker_silent"),
        (Metric::Panics, Some(0.5), "panic"),
        (Metric::CommandsFailed, Some(3.0), "commands_failing"),
        (Metric::CertificateEnds, Some(3.0 * 86_400.0), "certificate_ends"),
        (Metric::AuditFailures, Some(1.0), "audit_failing"),
        (Metric::DescriptorsUsed, Some(0.95), "descriptors_near_limit"),
    ];
    for (metric, value, expected) in cases {
        let mut broken = sample.clone();
        broken.values[metric] = value;
        let named_after = (1..=15).find(|_| rig.notices(&broken).iter().any(|notice| notice.alert.rule == expected && notice.what == What::Firing));
        assert!(named_after.is_some(), "{expected} is named in 15 s");
        for _ in 0..400 {
            rig.judge(&sample);
        }
        assert!(rig.alerts.active().is_empty(), "{expected}: {:?}", rig.alerts.active());
    }
}

/// Every rule that there is, with the bounds that it has: wrong for as long as it must be, and named then; right again, and resolved.
#[test]
fn every_default_rule_is_named_when_its_time_is_over_and_resolved_when_it_is_well() {
    let rules: Vec<Rule> = defaults().collect();
    let clear = |rule: &Rule| rule.clear.unwrap_or(rule.value);
    let mut well = Sample { feeds: vec![FeedSample { name: "f".into(), down_seconds: 0.0, latency_ms: Some(0.0), why: None }], ..Sample::default() };
    for metric in Metric::ALL {
        let of_metric = || rules.iter().filter(|rule| rule.about() == Some(About::House(*metric)));
        let worst_below = of_metric().filter(|rule| rule.condition == Condition::Below).map(clear).reduce(f64::max);
        let least_above = of_metric().filter(|rule| rule.condition == Condition::Above).map(clear).reduce(f64::min);
        well.values[*metric] = worst_below.or(least_above).or(Some(0.0));
    }
    let mut rig = Rig { alerts: Alerts::default(), second: 0 };
    for _ in 0..1_200 {
        assert_eq!(rig.judge(&well), [], "20 quiet minutes, a hair's breadth from every bound");
    }
    for rule in &rules {
        let broken_value = match rule.condition {
            Condition::Above => Some(rule.value + 0.001),
            Condition::Below => Some(rule.value - 0.001),
            Condition::Gone => None,
        };
        let mut broken = well.clone();
        match rule.about() {
            Some(About::House(metric)) => broken.values[metric] = broken_value,
            Some(About::EachFeed(FeedMetric::Down)) => broken.feeds[0].down_seconds = broken_value.unwrap_or_default(),
            Some(About::EachFeed(FeedMetric::Latency)) => broken.feeds[0].latency_ms = broken_value,
            None => panic!("{} is about nothing", rule.name),
        }
        let is_told = |notices: Vec<Notice>, what: What| notices.iter().any(|notice| notice.alert.rule == rule.name && notice.what == what);
        let due = rule.for_ms / 1_000 + 1;
        let fired = (1..=due + 1).find(|_| is_told(rig.notices(&broken), What::Firing));
        assert_eq!(fired, Some(due), "{}", rule.name);
        let due = rule.clear_for_ms / 1_000 + 1;
        let resolved = (1..=due + 1).find(|_| is_told(rig.notices(&well), What::Resolved));
        assert_eq!(resolved, Some(due), "{}", rule.name);
        // Others about the same metric may take longer.
        (0..1_800).for_each(|_| drop(rig.notices(&well)));
        assert!(rig.alerts.active().is_empty(), "{}: {:?}", rule.name, rig.alerts.active());
    }
}

/// Somebody sets the clock; what is measured does not change by it.
#[test]
fn a_wall_clock_that_jumps_makes_no_alarm_and_ends_none() {
    let mut rig = Rig::new(&[rule(json!({ "repeat_ms": 0 }))]);
    let judge = |rig: &mut Rig, lag_ms: f64, jump: WallMs| {
        rig.second += 1;
        let (now, wall) = (rig.second * 1_000, rig.wall() + jump);
        rig.alerts.judge(&lag(lag_ms), now, wall).into_iter().map(|notice| notice.what).collect::<Vec<_>>()
    };
    for jump in [0, 86_400_000, -86_400_000, 400 * 86_400_000, 0] {
        assert_eq!(judge(&mut rig, 0.0, jump), [], "{jump}");
    }
    assert_eq!((judge(&mut rig, 500.0, 0), judge(&mut rig, 500.0, 86_400_000)), (vec![], vec![]), "two seconds are two seconds");
    assert_eq!(judge(&mut rig, 500.0, -86_400_000), [What::Firing]);
    for jump in [86_400_000, -86_400_000, 0] {
        assert_eq!(judge(&mut rig, 500.0, jump), [], "{jump}");
    }
    assert_eq!((judge(&mut rig, 0.0, 0), judge(&mut rig, 0.0, -86_400_000)), (vec![], vec![What::Resolved]));
}

/// What divides by nothing has no reading, or none that is a number; a rule about it is quiet.
#[test]
fn readings_that_are_no_numbers_make_no_alarm() {
    let rules = [rule(json!({})), rule(json!({ "name": "below", "condition": "below", "clear": 200 }))];
    let mut rig = Rig::new(&rules);
    for reading in [f64::NAN, -f64::NAN] {
        for _ in 0..30 {
            assert_eq!(rig.lag(reading), []);
        }
    }
    assert_eq!(rig.judge(&Sample::default()), [], "and none at all");
    assert!(rig.alerts.active().is_empty());
}
