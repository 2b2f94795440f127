//! The API's description in OpenAPI 3.1, made from the table of methods and from the very types that are parsed and written.

use super::publish::PublishResult;
use super::{batch, describe, metrics_history, report, upstream_report};
use crate::http::login;
use crate::http::respond::ErrorBody;
use crate::protocol::codes::ErrorCode;
use bytes::Bytes;
use serde_json::Value;
use std::fmt::Write;
use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, ContentBuilder, HttpMethod, InfoBuilder, LicenseBuilder, OpenApiBuilder, PathItem, PathsBuilder, Ref, RefOr,
    Required, Response, ResponseBuilder, ResponsesBuilder,
};

/// Errors that the API answers with, and when.
const ERRORS: [(ErrorCode, &str); 7] = [
    (ErrorCode::INTERNAL, "the hub could not do it, or not in time; repeating it may help"),
    (ErrorCode::UNKNOWN_CHANNEL, "the channel's namespace is not configured"),
    (ErrorCode::NOT_FOUND, "there is no such method (`rpc`, and commands of a batch), or no report of that time"),
    (ErrorCode::LIMIT_EXCEEDED, "the answer to a batch got larger than 32 MiB: the rest of its commands was not carried out"),
    (
        ErrorCode::BAD_REQUEST,
        "a required member is missing, or a value is not what it must be; behind a colon, what of a payload its namespace does not take",
    ),
    (ErrorCode::NOT_AVAILABLE, "the channel's namespace has no presence, or no history; or nothing is kept of what is measured"),
    (ErrorCode::UNRECOVERABLE_POSITION, "the position belongs to another life of the stream"),
];

const INTRODUCTION: &str = "\
An application publishes, inspects and steers by this API. It has the names, shapes and codes of Centrifugo's HTTP API, so that client \
libraries for that one work with it. Whoever has the key of the configuration may do everything, others what their named key is for.\n\n\
Every call is a POST with a JSON object as its body; unknown members are ignored, and `null` is the same as absence everywhere but in `data`. \
Times are Unix seconds, sizes are bytes. Bodies may have 1 MiB unless configured otherwise (`http_server.request_body_max`).\n\n\
A call that was understood is answered with status 200 and either `{\"result\": …}` or `{\"error\": {\"code\": …, \"message\": …}}`. With the \
header `X-Centrifugo-Error-Mode: transport` an error is answered with the status below, and with the inner object alone.\n\n";

/// The whole description, for an API under `prefix` and, if there are any, accounts under theirs.
pub fn document(prefix: &str, accounts: Option<&str>) -> Bytes {
    let mut description = Description::default();
    description.schema::<ErrorBody>();
    describe(&mut description);
    description.batch();
    description.history_file();
    description.report_page(report::NAME, "Shows how the hub did as a page");
    description.report_page(upstream_report::NAME, "Shows a report of the feeds as a page");
    if let Some(prefix) = accounts {
        login::openapi::describe(&mut description, prefix);
    }
    let json = description.build(prefix);
    let mut out = crate::http::respond::buffer();
    crate::http::respond::write_json(&json, &mut out);
    out.freeze()
}

/// An address for people who sign in.
pub struct AccountsEndpoint<'a> {
    pub path: String,
    pub method: HttpMethod,
    pub text: &'a str,
    /// The request's schema, and an example.
    pub request: Option<(String, &'a str)>,
    /// Statuses, and when they come.
    pub refusals: &'a [(&'static str, &'static str)],
    /// The schema of all of them.
    pub refusal: &'a str,
    pub needs_cookie: bool,
}

/// A description that grows by methods.
#[derive(Default)]
pub struct Description {
    /// Name of the method, of its request's and of its result's schema.
    methods: Vec<(&'static str, String, String)>,
    paths: Vec<(String, PathItem)>,
    /// Those of people who sign in: whole paths, several with two methods.
    accounts: Vec<(String, HttpMethod, Operation)>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Description {
    pub fn method<Request: ToSchema, Result: ToSchema>(&mut self, name: &'static str, example: &str, example_result: &str) {
        let (request, result) = (self.schema::<Request>(), self.schema::<Result>());
        let text = Self::text_of::<Request>();
        let success = ObjectBuilder::new().property("result", reference(&result)).required("result");
        let answer = OneOfBuilder::new().item(success).item(error_answer());
        let example_answer = format!("{{\"result\":{example_result}}}");
        self.path(name, &text, reference(&request).into(), example, answer.into(), &example_answer);
        self.methods.push((name, request, result));
    }

    /// What a type says of itself.
    pub fn text_of<T: ToSchema>() -> String {
        match T::schema() {
            RefOr::T(Schema::Object(object)) => object.description.unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// An address for people who sign in; it answers 204 unless [`Description::accounts_answer`] says otherwise.
    pub fn accounts_endpoint(&mut self, endpoint: AccountsEndpoint<'_>) {
        let json = |schema: &str| ContentBuilder::new().schema(Some(reference(schema)));
        let mut responses = ResponsesBuilder::new().response("204", ResponseBuilder::new().description("Done."));
        for (status, when) in endpoint.refusals {
            let refusal = ResponseBuilder::new().description(*when).content("application/json", json(endpoint.refusal).build());
            responses = responses.response(*status, refusal);
        }
        let (summary, _) = endpoint.text.split_once(". ").unwrap_or((endpoint.text.trim_end_matches('.'), ""));
        let body = endpoint.request.map(|(request, example)| {
            let content = json(&request).example(Some(example_of(example))).build();
            RequestBodyBuilder::new().required(Some(Required::True)).content("application/json", content).build()
        });
        let security = if endpoint.needs_cookie { vec![SecurityRequirement::new("cookie", [""; 0])] } else { Vec::new() };
        let operation = OperationBuilder::new().tag("accounts").summary(Some(summary)).description(Some(endpoint.text)).request_body(body);
        let operation = operation.responses(responses.build()).securities(Some(security)).build();
        self.accounts.push((endpoint.path, endpoint.method, operation));
    }

    /// What the address that was added last answers with.
    pub fn accounts_answer(&mut self, schema: &str, example: &str) {
        if let Some((.., operation)) = self.accounts.last_mut() {
            let content = ContentBuilder::new().schema(Some(reference(schema))).example(Some(example_of(example))).build();
            let answer = ResponseBuilder::new().description("Done.").content("application/json", content).build();
            operation.responses.responses.retain(|status, _| status != "204");
            operation.responses.responses.insert("200".to_string(), RefOr::T(answer));
        }
    }

    /// A part of the path of the address that was added last.
    pub fn accounts_parameter(&mut self, name: &str, text: &str) {
        if let Some((.., operation)) = self.accounts.last_mut() {
            let schema = ObjectBuilder::new().schema_type(Type::String);
            let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True).description(Some(text));
            operation.parameters.get_or_insert_default().push(RefOr::T(parameter.schema(Some(schema)).build()));
        }
    }

    /// The method that consists of the others.
    fn batch(&mut self) {
        let mut command = ObjectBuilder::new().description(Some("A method's name with its request.")).max_properties(Some(1));
        let mut reply = ObjectBuilder::new().description(Some("The method's name with its result, or an error."));
        for (name, request, result) in &self.methods {
            command = command.property(*name, reference(request));
            reply = reply.property(*name, reference(result));
        }
        let reply = reply.property("error", reference(&ErrorBody::name()));
        let commands = ArrayBuilder::new().items(command).max_items(Some(1_000)).description(Some("1000 at most."));
        let parallel = ObjectBuilder::new().schema_type(Type::Boolean);
        let parallel =
            parallel.description(Some("Do not wait for one command before the next is begun. The replies keep the order of the commands."));
        let request = ObjectBuilder::new().property("commands", commands).property("parallel", parallel).required("commands");
        let answer = ObjectBuilder::new().property("replies", ArrayBuilder::new().items(reply)).required("replies");
        let text = "Carries out many commands with one request. Unlike other answers, this one is not wrapped in `result`, and it is no error if \
                    commands fail: each has a reply of its own.";
        let schema = Schema::from(request);
        self.path(batch::NAME, text, schema.into(), batch::EXAMPLE, Schema::from(answer), batch::EXAMPLE_RESULT);
    }

    /// What was measured, as a file.
    fn history_file(&mut self) {
        let number = || ObjectBuilder::new().schema_type(Type::Integer);
        let word = || ObjectBuilder::new().schema_type(Type::String);
        let format = word().enum_values(Some(["json", "csv", "openmetrics"]));
        let file = ["application/json", "text/csv", "application/openmetrics-text"]
            .into_iter()
            .fold(ResponseBuilder::new().description("The file."), |file, kind| file.content(kind, text_content()));
        let operation = OperationBuilder::new()
            .operation_id(Some("metrics_history_file"))
            .tag("methods")
            .summary(Some("Gives what was measured as a file"))
            .description(Some("The same for other programs: JSON, CSV with a heading, or OpenMetrics text with times."))
            .parameter(parameter("metrics", "Metrics of `admin.metrics.list`, with commas between.", Required::True, word()))
            .parameter(parameter("from", "From this time on, Unix milliseconds; without it the hour before `to`.", Required::False, number()))
            .parameter(parameter("to", "Before this time, Unix milliseconds; without it until now.", Required::False, number()))
            .parameter(parameter("step_ms", "Steps are at least this long; without it as long that there are 600.", Required::False, number()))
            .parameter(parameter("format", "In which shape; without it JSON.", Required::False, format))
            .response("200", file.build())
            .response("400", text_answer("The query is not what this takes.", "text/plain"))
            .response("401", ResponseBuilder::new().description("No key was shown, or a wrong one, or none is configured."))
            .response("403", text_answer("The key is not for this method.", "text/plain"))
            .response("404", text_answer("Nothing is kept of what is measured.", "text/plain"))
            .response("503", text_answer("The store cannot be read now.", "text/plain"))
            .build();
        self.get(metrics_history::NAME, operation);
    }

    /// A method that can also be asked by a browser.
    fn report_page(&mut self, method: &'static str, summary: &str) {
        let period = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["day", "week"]));
        let operation = OperationBuilder::new()
            .operation_id(Some(format!("{method}_page")))
            .tag("methods")
            .summary(Some(summary))
            .description(Some("The same report for people: a page without scripts that needs nothing else."))
            .parameter(parameter("period", "Which kind of report.", Required::True, period))
            .parameter(parameter(
                "back",
                "How many of them ago. 0, the default: the one that is not over.",
                Required::False,
                ObjectBuilder::new().schema_type(Type::Integer),
            ))
            .response("200", text_answer("The page.", "text/html"))
            .response("400", text_answer("The query is not what this takes.", "text/plain"))
            .response("401", ResponseBuilder::new().description("No key was shown, or a wrong one, or none is configured."))
            .response("403", text_answer("The key is not for this method.", "text/plain"))
            .response("404", text_answer("Nothing is known of that time.", "text/plain"))
            .build();
        self.get(method, operation);
    }

    fn get(&mut self, method: &str, operation: Operation) {
        if let Some((_, item)) = self.paths.iter_mut().find(|(name, _)| name == method) {
            item.get = Some(operation);
        }
    }

    fn path(&mut self, name: &str, text: &str, request: RefOr<Schema>, example: &str, answer: Schema, example_answer: &str) {
        let mut responses = ResponsesBuilder::new().response(
            "200",
            ResponseBuilder::new()
                .description("What the call gave, or its error.")
                .content("application/json", ContentBuilder::new().schema(Some(answer)).example(Some(example_of(example_answer))).build()),
        );
        for (status, text) in [
            ("400", "The body is not JSON, or not what this method takes; the text says what and where."),
            ("408", "The body did not come in time."),
            ("413", "The body is larger than it may be."),
        ] {
            responses = responses.response(status, ResponseBuilder::new().description(text).content("text/plain", text_content()));
        }
        let responses = responses.response("401", ResponseBuilder::new().description("No key was shown, or a wrong one, or none is configured."));
        let mode = ParameterBuilder::new()
            .name("X-Centrifugo-Error-Mode")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("With `transport`, errors come as HTTP statuses."))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["transport"]))));
        let body = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .content("application/json", ContentBuilder::new().schema(Some(request)).example(Some(example_of(example))).build());
        let (summary, _) = text.split_once(". ").unwrap_or((text.trim_end_matches('.'), ""));
        let operation: Operation = OperationBuilder::new()
            .operation_id(Some(name))
            .tag("methods")
            .summary(Some(summary))
            .description(Some(text))
            .parameter(mode)
            .request_body(Some(body.build()))
            .responses(responses.build())
            .build();
        self.paths.push((name.to_string(), PathItem::new(HttpMethod::Post, operation)));
    }

    /// Adds a schema with all that it refers to; gives its name.
    pub fn schema<T: ToSchema>(&mut self) -> String {
        let name = T::name().into_owned();
        T::schemas(&mut self.schemas);
        // Maps stand where they are used.
        self.schemas.retain(|(name, _)| name != "BTreeMap");
        self.schemas.push((name.clone(), T::schema()));
        name
    }

    fn build(self, prefix: &str) -> utoipa::openapi::OpenApi {
        let mut text = format!("{INTRODUCTION}| code | message | status | when |\n|---|---|---|---|\n");
        for (error, when) in ERRORS {
            let _ = writeln!(text, "| {} | {} | {} | {when} |", error.code, error.message, error.http_status);
        }
        let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
        let info = InfoBuilder::new().title("Aether server API").version(env!("CARGO_PKG_VERSION")).description(Some(text)).license(Some(license));
        let header = ApiKeyValue::with_description("X-API-Key", "The key (`http_api.key`).");
        let authorization = ApiKeyValue::with_description("Authorization", "The key behind the word `apikey` and a blank.");
        let query = ApiKeyValue::with_description("api_key", "The key. Addresses end up in logs: better use a header.");
        let (cookie, about_cookie) = login::openapi::COOKIE;
        let cookie = ApiKeyValue::with_description(cookie, about_cookie);
        let components = ComponentsBuilder::new()
            .schemas_from_iter(self.schemas)
            .security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)))
            .security_scheme("header", SecurityScheme::ApiKey(ApiKey::Header(header)))
            .security_scheme("authorization", SecurityScheme::ApiKey(ApiKey::Header(authorization)))
            .security_scheme("query", SecurityScheme::ApiKey(ApiKey::Query(query)));
        let any = ["header", "authorization", "query"].map(|name| SecurityRequirement::new(name, [""; 0]));
        let paths = self.paths.into_iter().fold(PathsBuilder::new(), |paths, (name, item)| paths.path(format!("{prefix}/{name}"), item));
        let paths = self.accounts.into_iter().fold(paths, |paths, (path, method, operation)| paths.path(path, PathItem::new(method, operation)));
        OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).security(Some(any)).build()
    }
}

fn parameter(name: &str, when: &str, required: Required, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).required(required).description(Some(when)).schema(Some(schema)).build()
}

fn text_content() -> Content {
    ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).build()
}

fn text_answer(when: &str, kind: &str) -> Response {
    ResponseBuilder::new().description(when).content(kind, text_content()).build()
}

fn reference(schema: &str) -> Ref {
    Ref::from_schema_name(schema)
}

fn error_answer() -> Schema {
    ObjectBuilder::new().property("error", reference(&ErrorBody::name())).required("error").into()
}

/// Results and errors, one a channel: what `broadcast` gives.
pub fn publish_outcomes() -> Array {
    let success = ObjectBuilder::new().property("result", reference(&PublishResult::name())).required("result");
    let outcomes = ArrayBuilder::new().items(OneOfBuilder::new().item(success).item(error_answer()));
    outcomes.description(Some("One for each channel of the request, in its order.")).build()
}

/// Examples are ours, and a test parses them.
fn example_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}
