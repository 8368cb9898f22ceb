//! Which paths there are and which methods each knows, read from the OpenAPI document: for 404, 405 with
//! `Allow`, OPTIONS, and the names of operations in metrics and logs.

use std::sync::Arc;

use poem::http::{HeaderValue, Method};
use serde_json::Value;

/// One step of a path: a word, or any non-empty one.
type Step = Option<String>;

/// A path with its operations.
#[derive(Debug)]
pub(crate) struct Route {
    steps: Vec<Step>,
    /// The names of its parameters, from left to right.
    parameters: Vec<String>,
    /// Everything below the steps belongs to it, with any method.
    open: bool,
    operations: Vec<(Method, Arc<str>)>,
    pub(super) allow: HeaderValue,
}

impl Route {
    /// The name of the operation that `method` means here.
    pub(super) fn operation(&self, method: &Method) -> Option<&Arc<str>> {
        if self.open {
            return self.operations.first().map(|(_, name)| name);
        }
        let wanted = if method == Method::HEAD { Method::GET } else { method.clone() };
        self.operations.iter().find(|(known, _)| *known == wanted).map(|(_, name)| name)
    }

    /// The documented name of a path parameter; poem-openapi calls them `param0`, `param1`, …
    pub(super) fn parameter<'a>(&'a self, internal: &'a str) -> &'a str {
        let index = internal.strip_prefix("param").and_then(|index| index.parse::<usize>().ok());
        index.and_then(|index| self.parameters.get(index)).map_or(internal, String::as_str)
    }

    /// Whether it is one of several endpoints behind one path, which look after themselves (Socket.IO).
    pub(super) fn is_open(&self) -> bool {
        self.open
    }
}

/// All paths.
#[derive(Debug, Default)]
pub(crate) struct Routes(Vec<Route>);

impl Routes {
    /// The paths of an OpenAPI document.
    pub(crate) fn of(document: &Value) -> Self {
        let mut routes = Self::default();
        let paths = document.get("paths").and_then(Value::as_object);
        for (path, item) in paths.into_iter().flatten() {
            let operations = item.as_object().into_iter().flatten().filter_map(|(method, operation)| {
                let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).ok()?;
                let name = operation.get("operationId").and_then(Value::as_str).unwrap_or(path);
                Some((method, Arc::from(name)))
            });
            routes.add(path, operations.collect());
        }
        routes
    }

    /// Adds a path that the document does not show, read with GET.
    #[must_use]
    pub(crate) fn with_page(mut self, path: &str, name: &str) -> Self {
        self.add(path, vec![(Method::GET, Arc::from(name))]);
        self
    }

    /// Adds everything at and below `path`, with any method.
    #[must_use]
    pub(crate) fn with_open(mut self, path: &str, name: &str) -> Self {
        self.add(path, vec![(Method::GET, Arc::from(name)), (Method::POST, Arc::from(name))]);
        if let Some(route) = self.0.last_mut() {
            route.open = true;
        }
        self
    }

    fn add(&mut self, path: &str, operations: Vec<(Method, Arc<str>)>) {
        let step = |word: &str| (!word.starts_with('{')).then(|| word.to_owned());
        let mut methods: Vec<&str> = operations.iter().map(|(method, _)| method.as_str()).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        methods.sort_unstable();
        let allow = HeaderValue::from_str(&methods.join(", ")).expect("method names are header values");
        let steps = words(path).map(step).collect();
        let names = words(path).filter_map(|word| word.strip_prefix('{')?.strip_suffix('}'));
        let parameters = names.map(str::to_owned).collect();
        self.0.push(Route { steps, parameters, open: false, operations, allow });
    }

    /// The route of `path`; a path with more literal words wins.
    pub(crate) fn find(&self, path: &str) -> Option<&Route> {
        let matches = |route: &&Route| {
            let mut words = words(path);
            let fits = route.steps.iter().all(|step| {
                words.next().is_some_and(|word| step.as_ref().map_or(!word.is_empty(), |known| known == word))
            });
            fits && (route.open || words.next().is_none())
        };
        let literals = |route: &&Route| route.steps.iter().filter(|step| step.is_some()).count();
        self.0.iter().filter(matches).max_by_key(literals)
    }
}

fn words(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn routes() -> Routes {
        let document = json!({"paths": {
            "/chat/threads": {"get": {"operationId": "threads.list"}, "post": {"operationId": "threads.create"}},
            "/chat/threads/{id}": {"get": {"operationId": "threads.get"}},
            "/chat/threads/mine": {"delete": {"operationId": "threads.mine"}},
        }});
        Routes::of(&document).with_open("/socket.io", "socket.io").with_page("/docs", "docs")
    }

    #[test]
    fn paths_are_found_as_the_router_finds_them() {
        let routes = routes();
        let name = |path: &str, method: Method| {
            routes.find(path).and_then(|route| route.operation(&method)).map(ToString::to_string)
        };
        assert_eq!(name("/chat/threads", Method::POST).as_deref(), Some("threads.create"));
        assert_eq!(name("/chat/threads/x", Method::HEAD).as_deref(), Some("threads.get"));
        assert_eq!(name("/chat/threads/mine", Method::DELETE).as_deref(), Some("threads.mine"));
        assert_eq!(name("/chat/threads/x", Method::TRACE), None);
        assert_eq!(name("/socket.io/", Method::POST).as_deref(), Some("socket.io"));
        assert_eq!(name("/docs", Method::GET).as_deref(), Some("docs"));
        for unknown in
            ["/", "", "/chat", "/chat/threads/", "/chat/threads/x/y", "/chat//x", "/docs/x", "/socket.iox"]
        {
            assert!(routes.find(unknown).is_none(), "{unknown}");
        }
        assert_eq!(routes.find("/chat/threads").unwrap().allow, "GET, HEAD, OPTIONS, POST");
    }
}
