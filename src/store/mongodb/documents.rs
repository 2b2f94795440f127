//! Collections and their documents. Numbers and times are kept as they are; a time that the server itself is to act on is a date besides.

use super::super::{
    ApiKeyRecord, AuditRecord, Block, BlockKind, Login, LoginId, PasswordHash, Settings, StoredPublication, StoredStream, User, WallMs,
};
use super::{Fault, number};
use crate::channel::{ChannelName, UserId};
use bytes::Bytes;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime};
use mongodb::{Collection, Database};
use serde::{Deserialize, Serialize};

/// A collection with the documents of this type.
pub(super) trait InCollection: Send + Sync {
    const NAME: &'static str;

    fn of(database: &Database) -> Collection<Self>
    where
        Self: Sized,
    {
        database.collection(Self::NAME)
    }
}

/// What is read may have been written by anybody.
fn stored_number(number: i64, what: &'static str) -> Result<u64, Fault> {
    u64::try_from(number).map_err(|_| Fault::Corrupt { what })
}

pub(super) fn binary(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

pub(super) fn date(at: WallMs) -> DateTime {
    DateTime::from_millis(at)
}

#[derive(Serialize, Deserialize)]
pub(super) struct UserDocument {
    _id: String,
    password: String,
    role: String,
    grants: String,
    created_at: WallMs,
    password_changed_at: WallMs,
    version: i64,
}

impl InCollection for UserDocument {
    const NAME: &'static str = "users";
}

impl UserDocument {
    pub fn new(user: &User) -> Result<Self, Fault> {
        Ok(Self {
            _id: user.name.as_str().to_string(),
            password: user.password.0.clone(),
            role: user.role.clone(),
            grants: user.grants.clone(),
            created_at: user.created_at,
            password_changed_at: user.password_changed_at,
            version: number(user.version)?,
        })
    }

    pub fn read(self) -> Result<User, Fault> {
        Ok(User {
            name: UserId::new(&self._id),
            password: PasswordHash(self.password),
            role: self.role,
            grants: self.grants,
            created_at: self.created_at,
            password_changed_at: self.password_changed_at,
            version: stored_number(self.version, "a user")?,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct LoginDocument {
    _id: Binary,
    user: String,
    salt: Binary,
    generation: u32,
    rotated_at: WallMs,
    created_at: WallMs,
    last_seen_at: WallMs,
    idle_until: WallMs,
    absolute_until: WallMs,
    address: String,
    device: String,
    ended_at: Option<WallMs>,
    ended_reason: String,
    /// Whichever way it ends.
    over_at: DateTime,
}

impl InCollection for LoginDocument {
    const NAME: &'static str = "logins";
}

/// As it is compared: the order of the bytes is that of the numbers.
pub(super) fn login_key(id: LoginId) -> Binary {
    binary(&id.0.to_be_bytes())
}

pub(super) fn login_id(key: &Binary) -> Result<LoginId, Fault> {
    Ok(LoginId(u128::from_be_bytes(key.bytes.as_slice().try_into().map_err(|_| Fault::Corrupt { what: "a login" })?)))
}

impl LoginDocument {
    pub fn new(login: &Login) -> Self {
        let over_at = login.ended_at.unwrap_or(login.idle_until).min(login.idle_until).min(login.absolute_until);
        Self {
            _id: login_key(login.id),
            user: login.user.as_str().to_string(),
            salt: binary(&login.salt),
            generation: login.generation,
            rotated_at: login.rotated_at,
            created_at: login.created_at,
            last_seen_at: login.last_seen_at,
            idle_until: login.idle_until,
            absolute_until: login.absolute_until,
            address: login.address.clone(),
            device: login.device.clone(),
            ended_at: login.ended_at,
            ended_reason: login.ended_reason.clone(),
            over_at: date(over_at),
        }
    }

    pub fn read(self) -> Result<Login, Fault> {
        Ok(Login {
            id: login_id(&self._id)?,
            user: UserId::new(&self.user),
            salt: self.salt.bytes.try_into().map_err(|_| Fault::Corrupt { what: "a login" })?,
            generation: self.generation,
            rotated_at: self.rotated_at,
            created_at: self.created_at,
            last_seen_at: self.last_seen_at,
            idle_until: self.idle_until,
            absolute_until: self.absolute_until,
            address: self.address,
            device: self.device,
            ended_at: self.ended_at,
            ended_reason: self.ended_reason,
        })
    }
}

/// In the order in which blocks are listed.
#[derive(Serialize, Deserialize)]
pub(super) struct BlockKey {
    kind: u32,
    subject: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct BlockDocument {
    _id: BlockKey,
    reason: String,
    by: String,
    since: WallMs,
    until: Option<WallMs>,
    /// Absent where it does not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    over_at: Option<DateTime>,
}

impl InCollection for BlockDocument {
    const NAME: &'static str = "blocks";
}

impl BlockDocument {
    pub fn new(block: &Block) -> Self {
        Self {
            _id: BlockKey { kind: block.kind as u32, subject: block.subject.clone() },
            reason: block.reason.clone(),
            by: block.by.clone(),
            since: block.since,
            until: block.until,
            over_at: block.until.map(date),
        }
    }

    pub fn read(self) -> Result<Block, Fault> {
        Ok(Block {
            kind: *BlockKind::ALL.get(self._id.kind as usize).ok_or_else(|| Fault::Corrupt { what: "a block" })?,
            subject: self._id.subject,
            reason: self.reason,
            by: self.by,
            since: self.since,
            until: self.until,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ApiKeyDocument {
    _id: String,
    name: String,
    secret_hash: String,
    methods: Vec<String>,
    namespaces: Vec<String>,
    created_at: WallMs,
    created_by: String,
    expires_at: Option<WallMs>,
    last_used_at: Option<WallMs>,
}

impl InCollection for ApiKeyDocument {
    const NAME: &'static str = "api_keys";
}

impl ApiKeyDocument {
    pub fn new(key: ApiKeyRecord) -> Self {
        let ApiKeyRecord { id, name, secret_hash, methods, namespaces, created_at, created_by, expires_at, last_used_at } = key;
        Self { _id: id, name, secret_hash, methods, namespaces, created_at, created_by, expires_at, last_used_at }
    }

    pub fn read(self) -> ApiKeyRecord {
        let Self { _id, name, secret_hash, methods, namespaces, created_at, created_by, expires_at, last_used_at } = self;
        ApiKeyRecord { id: _id, name, secret_hash, methods, namespaces, created_at, created_by, expires_at, last_used_at }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct AuditDocument {
    _id: i64,
    at: WallMs,
    actor: String,
    origin: String,
    action: String,
    object: String,
    details: String,
    outcome: String,
    previous: String,
    hash: String,
}

impl InCollection for AuditDocument {
    const NAME: &'static str = "audit";
}

impl AuditDocument {
    pub fn new(record: AuditRecord) -> Result<Self, Fault> {
        let AuditRecord { sequence, at, actor, origin, action, object, details, outcome, previous, hash } = record;
        Ok(Self { _id: number(sequence)?, at, actor, origin, action, object, details, outcome, previous, hash })
    }

    pub fn read(self) -> Result<AuditRecord, Fault> {
        let Self { _id, at, actor, origin, action, object, details, outcome, previous, hash } = self;
        let sequence = stored_number(_id, "an audit record")?;
        Ok(AuditRecord { sequence, at, actor, origin, action, object, details, outcome, previous, hash })
    }
}

/// What of a stream can be seen: publications of `epoch` from behind `top - size` up to `top`.
#[derive(Serialize, Deserialize)]
pub(super) struct StreamDocument {
    _id: String,
    pub epoch: String,
    pub top: i64,
    pub size: i64,
    /// Publications up to this offset were forgotten on demand.
    pub forgotten: i64,
    forgotten_at: WallMs,
    over_at: DateTime,
}

impl InCollection for StreamDocument {
    const NAME: &'static str = "streams";
}

impl StreamDocument {
    pub fn read(self) -> Result<StoredStream, Fault> {
        Ok(StoredStream {
            channel: ChannelName::new(&self._id),
            epoch: self.epoch,
            offset: stored_number(self.top, "a stream")?,
            forgotten_at: self.forgotten_at,
        })
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct PublicationKey {
    pub channel: String,
    pub epoch: String,
    pub offset: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PublicationDocument {
    pub _id: PublicationKey,
    /// As in the key, where an index cannot use them one by one.
    channel: String,
    offset: i64,
    body: Binary,
    at: WallMs,
    expires_at: WallMs,
    stream_expires_at: WallMs,
    size: u32,
    over_at: DateTime,
}

impl InCollection for PublicationDocument {
    const NAME: &'static str = "publications";
}

impl PublicationDocument {
    pub fn new(publication: &StoredPublication) -> Result<Self, Fault> {
        let (channel, offset) = (publication.channel.as_str().to_string(), number(publication.offset)?);
        Ok(Self {
            _id: PublicationKey { channel: channel.clone(), epoch: publication.epoch.clone(), offset },
            channel,
            offset,
            body: binary(&publication.body),
            at: publication.at,
            expires_at: publication.expires_at,
            stream_expires_at: publication.stream_expires_at,
            size: publication.size,
            over_at: date(publication.expires_at),
        })
    }

    pub fn body_bytes(&self) -> usize {
        self.body.bytes.len()
    }

    pub fn read(self) -> Result<StoredPublication, Fault> {
        Ok(StoredPublication {
            channel: ChannelName::new(&self.channel),
            epoch: self._id.epoch,
            offset: stored_number(self.offset, "a publication")?,
            body: Bytes::from(self.body.bytes),
            at: self.at,
            expires_at: self.expires_at,
            stream_expires_at: self.stream_expires_at,
            size: self.size,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ValueDocument {
    pub _id: String,
    pub value: Binary,
}

impl InCollection for ValueDocument {
    const NAME: &'static str = "values";
}

#[derive(Serialize, Deserialize)]
pub(super) struct SettingsDocument {
    pub _id: String,
    body: String,
    pub saved_at: WallMs,
}

impl InCollection for SettingsDocument {
    const NAME: &'static str = "settings";
}

impl SettingsDocument {
    pub fn new(user: &UserId, Settings { body, saved_at }: &Settings) -> Self {
        Self { _id: user.as_str().to_string(), body: body.clone(), saved_at: *saved_at }
    }

    pub fn read(self) -> Settings {
        Settings { body: self.body, saved_at: self.saved_at }
    }
}
