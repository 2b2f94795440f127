//! Feeds that run only while somebody listens: which channels are wanted, which feed each of them needs, and when it is not needed any more.
//!
//! The topic room tells (through `app`) when a channel gets its first subscriber on this node and loses its last; the pool looks here at
//! every sweep. A template with parameters becomes one feed for each distinct set of values, however many channels and subscribers want it.

use super::feed::Feed;
use super::positions::Stored;
use super::publication::{ChannelTemplate, Mapping};
use super::roster::Origin;
use super::settings::{FeedError, FeedSettings};
use crate::channel::ChannelName;
use crate::clock::Millis;
use crate::config::is_url_parameter;
use parking_lot::Mutex;
use regex::Regex;
use reqwest::{Client, Url};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// What a parameter's value may be: a subscriber chooses it, and it becomes a part of a URL. The unreserved characters of URIs (RFC 3986, 2.3),
/// which need no escaping and have no meaning there.
const VALUE: &str = "[A-Za-z0-9._~-]{1,64}";

/// What stands for an event's type or a word of its data in a channel's name; see `publication::is_harmless`.
const FOREIGN_WORD: &str = "[A-Za-z0-9._~/-]+";

/// One feed, or a family of feeds that differ in the values of parameters, started by the first subscriber of a channel of theirs.
#[derive(Clone, Debug)]
pub struct FeedTemplate {
    /// Everything but URL and channels, which are those of sample values.
    prototype: FeedSettings,
    url: String,
    channel: String,
    by_event: Vec<(String, String)>,
    parameters: Vec<String>,
    patterns: Vec<Regex>,
}

impl FeedTemplate {
    /// `url`, `channel` and `by_event` (event type and channel) may name parameters in braces: all that the URL names must be in every
    /// channel, so that a channel tells its feed. `build` makes the feed of a URL and a channel, with settings as they are for all.
    pub fn new(
        name: &str,
        url: &str,
        channel: &str,
        by_event: &[(String, String)],
        build: impl FnOnce(&str, &str) -> Result<FeedSettings, FeedError>,
    ) -> Result<Self, FeedError> {
        let parameters = url_parameters(url);
        let channels: Vec<&str> = by_event.iter().map(|(_, channel)| channel.as_str()).chain([channel]).filter(|text| !text.is_empty()).collect();
        let mut patterns = Vec::new();
        for text in channels {
            if let Some(missing) = parameters.iter().find(|parameter| !text.contains(&format!("{{{parameter}}}"))) {
                return Err(FeedError::Parameter { feed: name.to_string(), parameter: missing.clone() });
            }
            patterns.push(pattern(text, name, &parameters));
        }
        let sample = parameters.iter().map(|parameter| (parameter.clone(), "x".to_string())).collect();
        let prototype = build(&fill(url, &sample), &fill(channel, &sample))?;
        let template = Self { prototype, url: url.to_string(), channel: channel.to_string(), by_event: by_event.to_vec(), parameters, patterns };
        // What works for one set of values works for all, since none has a character that means anything.
        template.feed(&sample)?;
        Ok(template)
    }

    pub fn prototype(&self) -> &FeedSettings {
        &self.prototype
    }

    pub fn has_parameters(&self) -> bool {
        !self.parameters.is_empty()
    }

    /// The feed of a template without parameters.
    pub fn fixed(&self) -> Result<FeedSettings, FeedError> {
        self.feed(&BTreeMap::new())
    }

    /// The same feed, which may be let go while nobody listens to its channels.
    pub fn fixed_and_released(&self) -> Result<FeedSettings, FeedError> {
        Ok(FeedSettings { audience: self.patterns.clone(), ..self.fixed()? })
    }

    /// The values that a channel stands for.
    fn values(&self, channel: &str) -> Option<BTreeMap<String, String>> {
        self.patterns.iter().find_map(|pattern| {
            let found = pattern.captures(channel)?;
            Some(self.parameters.iter().map(|name| (name.clone(), found.name(name).map_or("", |value| value.as_str()).to_string())).collect())
        })
    }

    /// The name of the feed with these values.
    fn name(&self, values: &BTreeMap<String, String>) -> String {
        let name = &self.prototype.name;
        if values.is_empty() { name.to_string() } else { format!("{name}[{}]", values.values().cloned().collect::<Vec<_>>().join(",")) }
    }

    fn feed(&self, values: &BTreeMap<String, String>) -> Result<FeedSettings, FeedError> {
        let base = &self.prototype.name;
        let template = |text: &str| {
            let parsed = ChannelTemplate::parse(&fill(text, values), base);
            parsed.map_err(|source| FeedError::Channel { feed: base.to_string(), source })
        };
        let by_event = self.by_event.iter().map(|(event_type, text)| Ok((event_type.clone(), template(text)?))).collect::<Result<_, FeedError>>()?;
        let fallback = if self.channel.is_empty() { None } else { Some(template(&self.channel)?) };
        let url = Url::parse(&fill(&self.url, values)).map_err(|error| FeedError::Url { feed: base.to_string(), reason: error.to_string() })?;
        let mapping = Mapping { by_event, fallback, ..self.prototype.mapping.clone() };
        Ok(FeedSettings { name: self.name(values).into(), url, mapping, ..self.prototype.clone() })
    }
}

/// The parameters of a feed's URL: the names in braces, each once.
pub fn url_parameters(url: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in url.split('{').skip(1) {
        if let Some((name, _)) = part.split_once('}')
            && is_url_parameter(name)
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_string());
        }
    }
    names
}

fn fill(text: &str, values: &BTreeMap<String, String>) -> String {
    values.iter().fold(text.to_string(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

fn pattern(channel: &str, feed: &str, parameters: &[String]) -> Regex {
    let mut expression = String::from("^");
    let mut named = Vec::new();
    let mut rest = channel;
    while let Some((before, after)) = rest.split_once('{') {
        expression.push_str(&regex::escape(before));
        let (word, after) = after.split_once('}').unwrap_or((after, ""));
        if word == "name" {
            expression.push_str(&regex::escape(feed));
        } else if parameters.iter().any(|parameter| parameter == word) && !named.contains(&word) {
            named.push(word);
            expression.push_str(&format!("(?P<{word}>{VALUE})"));
        } else {
            expression.push_str(FOREIGN_WORD);
        }
        rest = after;
    }
    expression.push_str(&regex::escape(rest));
    expression.push('$');
    Regex::new(&expression).expect("the parts are escaped texts, names of letters, and expressions that are known to be good")
}

/// What is wanted now.
#[derive(Debug, Default)]
pub struct Demand {
    feeds_max: usize,
    grace: Duration,
    /// There is no grace now.
    is_hurried: AtomicBool,
    state: Mutex<State>,
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    templates: Vec<Arc<Family>>,
    /// Channels with subscribers, and the feed of each; `None`: there are too many feeds already.
    wanted: HashMap<ChannelName, Option<Wish>>,
    running: BTreeMap<String, Running>,
    /// Where feeds stood when the hub ended that ran before this one, and until when that counts.
    stored: (Stored, Millis),
}

/// The feeds of one template.
#[derive(Debug)]
struct Family {
    template: FeedTemplate,
    client: Client,
    origin: Origin,
}

impl Family {
    fn name(&self) -> &Arc<str> {
        &self.template.prototype.name
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wish {
    feed: String,
}

#[derive(Debug)]
struct Running {
    feed: Arc<Feed>,
    /// The name of its template.
    template: Arc<str>,
    channels: usize,
    /// Since when no channel of it is wanted.
    unwanted_since: Option<Millis>,
}

impl Demand {
    pub fn new(feeds_max: usize, grace: Duration) -> Self {
        Self { feeds_max, grace, is_hurried: AtomicBool::new(false), state: Mutex::default(), changed: Arc::default() }
    }

    /// Takes up one more template. Channels that are wanted already have to be told again.
    pub fn add(&self, template: FeedTemplate, client: Client, origin: Origin) {
        self.state.lock().templates.push(Arc::new(Family { template, client, origin }));
    }

    /// Lets feeds go on where they stood if somebody listens to them within the grace: as if they had lost their last subscriber now.
    pub fn remember(&self, stored: Stored, now: Millis) {
        self.state.lock().stored = (stored, now.saturating_add(self.grace.as_millis() as Millis));
    }

    /// Ends feeds without their grace, or with it again.
    pub fn hurry(&self, is_hurried: bool) {
        self.is_hurried.store(is_hurried, Ordering::Relaxed);
    }

    /// Gives up a template with its feeds. Whether it was there.
    pub fn remove(&self, name: &str) -> bool {
        let mut state = self.state.lock();
        let before = state.templates.len();
        state.templates.retain(|family| **family.name() != *name);
        if state.templates.len() == before {
            return false;
        }
        let State { wanted, running, .. } = &mut *state;
        running.retain(|_, running| &*running.template != name);
        wanted.retain(|_, wish| wish.as_ref().is_none_or(|wish| running.contains_key(&wish.feed)));
        self.serve_waiting(&mut state);
        true
    }

    /// The names of the templates.
    pub fn templates(&self) -> Vec<Arc<str>> {
        self.state.lock().templates.iter().map(|family| Arc::clone(family.name())).collect()
    }

    pub fn prototypes(&self) -> Vec<FeedSettings> {
        self.state.lock().templates.iter().map(|family| family.template.prototype.clone()).collect()
    }

    /// Where the template of this name comes from; `None`: there is none.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        self.state.lock().templates.iter().find(|family| **family.name() == *name).map(|family| family.origin)
    }

    /// Woken when a feed is wanted that does not run.
    pub fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    /// `channel` has its first subscriber. Quick: called while the channel is locked.
    pub fn wanted(&self, channel: &ChannelName) {
        let mut state = self.state.lock();
        if !state.wanted.contains_key(channel)
            && let Some(wish) = self.wish(channel, &mut state)
        {
            state.wanted.insert(channel.clone(), wish);
        }
    }

    /// `channel` has lost its last subscriber.
    pub fn unwanted(&self, channel: &ChannelName, now: Millis) {
        let State { wanted, running, .. } = &mut *self.state.lock();
        let Some(Some(wish)) = wanted.remove(channel) else { return };
        if let Some(running) = running.get_mut(&wish.feed) {
            running.channels = running.channels.saturating_sub(1);
            if running.channels == 0 {
                running.unwanted_since = Some(now);
            }
        }
    }

    /// Lets go of the feeds whose grace is over, takes up those that had to wait for room, and says which run.
    pub fn feeds(&self, now: Millis) -> Vec<(Arc<str>, Arc<Feed>)> {
        let mut state = self.state.lock();
        let grace = if self.is_hurried.load(Ordering::Relaxed) { 0 } else { self.grace.as_millis() as Millis };
        if now >= state.stored.1 {
            state.stored.0 = Stored::default();
        }
        let before = state.running.len();
        state.running.retain(|_, running| running.unwanted_since.is_none_or(|since| now.saturating_sub(since) < grace));
        if state.running.len() < before {
            self.serve_waiting(&mut state);
        }
        state.running.values().map(|running| (Arc::clone(&running.template), Arc::clone(&running.feed))).collect()
    }

    /// There may be room for feeds that had to wait.
    fn serve_waiting(&self, state: &mut State) {
        let waiting: Vec<ChannelName> = state.wanted.iter().filter(|(_, wish)| wish.is_none()).map(|(channel, _)| channel.clone()).collect();
        for channel in waiting {
            match self.wish(&channel, state) {
                Some(wish) => state.wanted.insert(channel, wish),
                // Its template is gone.
                None => state.wanted.remove(&channel),
            };
        }
    }

    /// Channels that are wanted, and of these those whose feed there is no room for.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.wanted.len(), state.wanted.values().filter(|wish| wish.is_none()).count())
    }

    /// Counts a channel in with its feed, which is made if it is the first. `None`: no template has this channel.
    fn wish(&self, channel: &ChannelName, state: &mut State) -> Option<Option<Wish>> {
        let found = state.templates.iter().find_map(|family| Some((Arc::clone(family), family.template.values(channel.as_str())?)));
        let (family, values) = found?;
        let Family { template, client, .. } = &*family;
        let name = template.name(&values);
        if !state.running.contains_key(&name) {
            if state.running.len() >= self.feeds_max {
                return Some(None);
            }
            let feed = match template.feed(&values) {
                Ok(settings) => Arc::new(Feed::new(settings, client.clone())),
                Err(error) => {
                    log::error!("a channel is wanted whose feed cannot be made: {error}");
                    return None;
                }
            };
            state.stored.0.give(&feed);
            let template = Arc::clone(family.name());
            state.running.insert(name.clone(), Running { feed, template, channels: 0, unwanted_since: None });
            self.changed.notify_one();
        }
        let running = state.running.get_mut(&name)?;
        running.channels += 1;
        running.unwanted_since = None;
        Some(Some(Wish { feed: name }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::positions::Positions;
    use crate::upstream::publication::Format;
    use crate::upstream::roster::Entry;
    use crate::upstream::settings::FeedLimits;

    fn template(url: &str, channel: &str, by_event: &[(&str, &str)]) -> Result<FeedTemplate, FeedError> {
        let by_event: Vec<(String, String)> = by_event.iter().map(|(event_type, channel)| (event_type.to_string(), channel.to_string())).collect();
        FeedTemplate::new("quotes", url, channel, &by_event, |url, channel| {
            FeedSettings::new("quotes", url, channel, Format::Data, [], FeedLimits::default())
        })
    }

    fn demand(feeds_max: usize) -> Demand {
        let template = template("http://h/s?symbol={symbol}", "ticks:{symbol}/{event}", &[("trade", "trades:{symbol}")]).unwrap();
        let demand = Demand::new(feeds_max, Duration::from_secs(30));
        demand.add(template, Client::new(), Origin::Configured);
        demand
    }

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name)
    }

    fn running(demand: &Demand, now: Millis) -> Vec<String> {
        demand.feeds(now).iter().map(|(_, feed)| format!("{} {}", feed.settings.name, feed.settings.url)).collect()
    }

    #[test]
    fn one_feed_for_each_value_however_many_channels_want_it() {
        let demand = demand(10);
        for name in ["ticks:ACME/trade", "ticks:ACME/quote", "trades:ACME", "trades:B-1.x", "other:ACME", "ticks:ACME"] {
            demand.wanted(&channel(name));
        }
        assert_eq!(running(&demand, 0), ["quotes[ACME] http://h/s?symbol=ACME", "quotes[B-1.x] http://h/s?symbol=B-1.x"]);
        for name in ["ticks:ACME/trade", "trades:ACME", "never:wanted"] {
            demand.unwanted(&channel(name), 0);
        }
        assert_eq!(running(&demand, 1_000_000).len(), 2, "one channel is left");
        demand.unwanted(&channel("ticks:ACME/quote"), 1_000_000);
        assert_eq!(running(&demand, 1_029_999).len(), 2, "grace");
        assert_eq!(running(&demand, 1_030_000), ["quotes[B-1.x] http://h/s?symbol=B-1.x"]);
        demand.wanted(&channel("trades:ACME"));
        demand.unwanted(&channel("trades:ACME"), 1_030_000);
        demand.wanted(&channel("trades:ACME"));
        assert_eq!(running(&demand, 9_000_000).len(), 2, "one who comes back within the grace keeps it");
    }

    #[test]
    fn where_a_feed_stood_counts_for_a_grace_and_once() {
        let id_after = |until: Millis| {
            let before = demand(10);
            before.wanted(&channel("trades:A"));
            let (template, feed) = before.feeds(0).remove(0);
            feed.take_over().write(|ledger| ledger.last_event_id = "7".into());
            let bytes = Positions::default().changed(&[Entry { feed, template, origin: Origin::OnDemand }]).unwrap();
            let demand = demand(10);
            demand.remember(serde_json::from_slice(&bytes).unwrap(), 1_000);
            demand.feeds(until);
            let id = || {
                demand.wanted(&channel("trades:A"));
                let id = demand.feeds(until)[0].1.last_event_id().to_string();
                demand.unwanted(&channel("trades:A"), until);
                assert!(demand.feeds(until + 30_000).is_empty());
                id
            };
            [id(), id()]
        };
        assert_eq!(id_after(30_999), ["7", ""]);
        assert_eq!(id_after(31_000), ["", ""]);
    }

    #[test]
    fn a_template_that_goes_takes_its_feeds_along_and_makes_room() {
        let demand = demand(1);
        demand.wanted(&channel("trades:A"));
        demand.wanted(&channel("all:x"));
        let mut all = template("http://h/all", "all:{event}", &[]).unwrap();
        all.prototype.name = "all".into();
        demand.add(all, Client::new(), Origin::Added);
        demand.wanted(&channel("all:x"));
        assert_eq!((running(&demand, 0).len(), demand.counts()), (1, (2, 1)), "there is room for one");
        assert!(!demand.remove("other") && demand.remove("quotes"));
        assert_eq!((running(&demand, 0), demand.counts()), (vec!["all http://h/all".to_string()], (1, 0)));
        assert!(demand.remove("all"));
        assert_eq!((running(&demand, 0).len(), demand.counts()), (0, (0, 0)));
    }

    #[test]
    fn values_that_mean_something_elsewhere_start_nothing() {
        let demand = demand(10);
        for value in ["", "a b", "a&b=c", "a/b", "a?b", "a#b", "%41", "é", "a\n", &"x".repeat(65), "{symbol}"] {
            demand.wanted(&channel(&format!("trades:{value}")));
        }
        assert_eq!((running(&demand, 0).len(), demand.counts()), (0, (0, 0)));
    }

    #[test]
    fn beyond_the_limit_channels_wait_until_there_is_room() {
        let demand = demand(2);
        for name in ["trades:A", "trades:B", "trades:C"] {
            demand.wanted(&channel(name));
        }
        assert_eq!((running(&demand, 0).len(), demand.counts()), (2, (3, 1)));
        demand.unwanted(&channel("trades:A"), 0);
        assert_eq!(running(&demand, 30_000), ["quotes[B] http://h/s?symbol=B", "quotes[C] http://h/s?symbol=C"]);
        demand.unwanted(&channel("trades:B"), 30_000);
        demand.unwanted(&channel("trades:C"), 30_000);
        assert_eq!((running(&demand, 60_000).len(), demand.counts()), (0, (0, 0)), "nothing is left");
    }

    #[test]
    fn a_feed_without_parameters_can_be_on_demand_too() {
        let template = template("http://h/all", "all:{event}", &[]).unwrap();
        let demand = Demand::new(10, Duration::ZERO);
        demand.add(template, Client::new(), Origin::Configured);
        demand.wanted(&channel("all:x"));
        assert_eq!(running(&demand, 0), ["quotes http://h/all"]);
    }

    #[test]
    fn a_channel_must_tell_its_feed() {
        let fault = template("http://h/{a}?b={b}", "c:{a}", &[]).unwrap_err();
        assert_eq!(fault, FeedError::Parameter { feed: "quotes".to_string(), parameter: "b".to_string() });
        assert!(template("http://h/{a}", "c:{a}-{what}", &[]).is_err(), "not a parameter of the URL");
        assert!(template("http://h/{a}/{a}", "c:{a}/{a}/{event}/{/x}/{name}", &[("e", "d:{a}")]).is_ok());
    }
}
