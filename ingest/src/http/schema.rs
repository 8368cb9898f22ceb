//! Checks a JSON value against the schema that the OpenAPI document shows for its type, so that document
//! and program cannot differ, and names the first field that is wrong by its JSON pointer.
//!
//! A wrong type, null, an unknown or missing field, a foreign enum value or form: 400. A limit of length or
//! number: 422. An optional field may be null, which is the same as leaving it out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use regex::Regex;
use serde_json::{Map, Value};

use super::error::{ApiError, Code};

/// The schema of a type with all it refers to.
pub(crate) struct Schema {
    root: MetaSchemaRef,
    named: BTreeMap<String, MetaSchema>,
    patterns: BTreeMap<String, Regex>,
}

impl Schema {
    /// The schema of `T`.
    ///
    /// # Panics
    /// When a pattern of it is no regular expression: a fault of the program, found by any test of it.
    pub(crate) fn of<T: Type>() -> Self {
        let mut registry = Registry::new();
        T::register(&mut registry);
        let mut schema = Self { root: T::schema_ref(), named: registry.schemas, patterns: BTreeMap::new() };
        let mut patterns = Vec::new();
        schema.named.values().for_each(|named| collect_patterns(named, &mut patterns));
        if let MetaSchemaRef::Inline(root) = &schema.root {
            collect_patterns(root, &mut patterns);
        }
        for pattern in patterns {
            let regex = Regex::new(&pattern).expect("the patterns of our schemas are regular expressions");
            schema.patterns.insert(pattern, regex);
        }
        schema
    }

    /// Checks `value`.
    ///
    /// # Errors
    /// The first field that is wrong; the value itself is not repeated.
    pub(crate) fn check(&self, value: &Value) -> Result<(), ApiError> {
        Check { schema: self, at: String::new() }.reference(&self.root, value)
    }
}

fn collect_patterns(schema: &MetaSchema, patterns: &mut Vec<String>) {
    patterns.extend(schema.pattern.clone());
    let inner = schema.properties.iter().map(|(_, property)| property);
    let inner = inner.chain(schema.items.as_deref()).chain(schema.additional_properties.as_deref());
    let inner = inner.chain(&schema.all_of).chain(&schema.any_of).chain(&schema.one_of);
    for reference in inner {
        if let MetaSchemaRef::Inline(schema) = reference {
            collect_patterns(schema, patterns);
        }
    }
}

/// A walk through a value; `at` is the pointer to where it stands.
struct Check<'s> {
    schema: &'s Schema,
    at: String,
}

impl<'s> Check<'s> {
    fn wrong(&self, wanted: impl std::fmt::Display) -> ApiError {
        match self.at.is_empty() {
            true => ApiError::new(Code::InvalidRequest, format!("the body {wanted}")),
            false => ApiError::invalid_field(self.at.clone(), wanted),
        }
    }

    fn beyond(&self, wanted: impl std::fmt::Display) -> ApiError {
        ApiError { code: Code::Unprocessable, ..self.wrong(wanted) }
    }

    fn reference(&mut self, reference: &'s MetaSchemaRef, value: &Value) -> Result<(), ApiError> {
        match reference {
            MetaSchemaRef::Inline(schema) => self.value(schema, value),
            MetaSchemaRef::Reference(name) => match self.schema.named.get(name) {
                Some(schema) => self.value(schema, value),
                None => Ok(()),
            },
        }
    }

    fn value(&mut self, schema: &'s MetaSchema, value: &Value) -> Result<(), ApiError> {
        if value.is_null() && !schema.ty.is_empty() {
            return if schema.nullable { Ok(()) } else { Err(self.wrong("must not be null")) };
        }
        for part in &schema.all_of {
            self.reference(part, value)?;
        }
        self.alternatives(schema, value)?;
        if !schema.enum_items.is_empty() && !schema.enum_items.contains(value) {
            let known: Vec<String> = schema.enum_items.iter().map(ToString::to_string).collect();
            return Err(self.wrong(format_args!("must be one of {}", known.join(", "))));
        }
        match (schema.ty, value) {
            ("", _) => Ok(()),
            ("string", Value::String(text)) => self.text(schema, text),
            ("string", _) => Err(self.wrong("must be a string")),
            ("boolean", Value::Bool(_)) => Ok(()),
            ("boolean", _) => Err(self.wrong("must be true or false")),
            ("integer", Value::Number(number)) if !number.is_f64() => self.number(schema, value),
            ("integer", _) => Err(self.wrong("must be a whole number")),
            ("number", Value::Number(_)) => self.number(schema, value),
            ("number", _) => Err(self.wrong("must be a number")),
            ("array", Value::Array(items)) => self.array(schema, items),
            ("array", _) => Err(self.wrong("must be an array")),
            ("object", Value::Object(object)) => self.object(schema, object),
            ("object", _) => Err(self.wrong("must be an object")),
            _ => Ok(()),
        }
    }

    /// One of several: the one that the discriminator names, else any that fits.
    fn alternatives(&mut self, schema: &'s MetaSchema, value: &Value) -> Result<(), ApiError> {
        let several = if schema.one_of.is_empty() { &schema.any_of } else { &schema.one_of };
        if several.is_empty() {
            return Ok(());
        }
        if let Some(discriminator) = &schema.discriminator {
            let tag = value.get(discriminator.property_name).and_then(Value::as_str);
            let named = discriminator.mapping.iter().find(|(name, _)| Some(name.as_str()) == tag);
            let Some((_, target)) = named else {
                let tags: Vec<&str> = discriminator.mapping.iter().map(|(name, _)| name.as_str()).collect();
                let wanted = format!("must be one of {}", tags.join(", "));
                return self.inside(discriminator.property_name, |check| Err(check.wrong(wanted)));
            };
            let name = target.rsplit('/').next().unwrap_or_default();
            return match self.schema.named.get(name) {
                Some(schema) => self.value(schema, value),
                None => Ok(()),
            };
        }
        let mut last = Ok(());
        for alternative in several {
            last = self.reference(alternative, value);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn text(&self, schema: &MetaSchema, text: &str) -> Result<(), ApiError> {
        if let Some(pattern) = &schema.pattern
            && self.schema.patterns.get(pattern).is_some_and(|regex| !regex.is_match(text))
        {
            return Err(self.wrong(format_args!("must have the form {pattern}")));
        }
        if schema.format == Some("date-time") && chrono::DateTime::parse_from_rfc3339(text).is_err() {
            return Err(self.wrong("must be an RFC 3339 time"));
        }
        self.within("characters", text.chars().count(), schema.min_length, schema.max_length)
    }

    fn within(&self, unit: &str, n: usize, min: Option<usize>, max: Option<usize>) -> Result<(), ApiError> {
        if let Some(min) = min.filter(|min| n < *min) {
            return Err(self.beyond(format_args!("must have at least {min} {unit}")));
        }
        if let Some(max) = max.filter(|max| n > *max) {
            return Err(self.beyond(format_args!("must have at most {max} {unit}")));
        }
        Ok(())
    }

    fn number(&self, schema: &MetaSchema, value: &Value) -> Result<(), ApiError> {
        let number = value.as_f64().unwrap_or(f64::NAN);
        let limit = |format: Option<&str>| match format {
            Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
            Some("uint32") => (0.0, f64::from(u32::MAX)),
            Some("uint16") => (0.0, f64::from(u16::MAX)),
            Some("uint64") => (0.0, u64::MAX as f64),
            Some("int64") => (i64::MIN as f64, i64::MAX as f64),
            _ => (f64::MIN, f64::MAX),
        };
        let (least, most) = limit(schema.format);
        if number < least || number > most {
            return Err(self.wrong("is out of range"));
        }
        if let Some(min) = schema.minimum.filter(|min| number < *min) {
            return Err(self.beyond(format_args!("must be at least {min}")));
        }
        if let Some(max) = schema.maximum.filter(|max| number > *max) {
            return Err(self.beyond(format_args!("must be at most {max}")));
        }
        Ok(())
    }

    fn array(&mut self, schema: &'s MetaSchema, items: &[Value]) -> Result<(), ApiError> {
        if let Some(item) = &schema.items {
            for (index, value) in items.iter().enumerate() {
                self.inside(&index.to_string(), |check| check.reference(item, value))?;
            }
        }
        self.within("items", items.len(), schema.min_items, schema.max_items)
    }

    fn object(&mut self, schema: &'s MetaSchema, object: &Map<String, Value>) -> Result<(), ApiError> {
        for (name, value) in object {
            let property = schema.properties.iter().find(|(known, _)| known == name);
            match (property, &schema.additional_properties) {
                (Some((known, property)), _) => {
                    let optional = !schema.required.contains(known);
                    if !(optional && value.is_null()) {
                        self.inside(name, |check| check.reference(property, value))?;
                    }
                }
                (None, Some(other)) => self.inside(name, |check| check.reference(other, value))?,
                (None, None) => return self.inside(name, |check| Err(check.wrong("is not a known field"))),
            }
        }
        match schema.required.iter().find(|name| !object.contains_key(**name)) {
            Some(name) => self.inside(name, |check| Err(check.wrong("is missing"))),
            None => Ok(()),
        }
    }

    /// Goes one step down for `then`. A name of the caller's is cut short and shown without control characters.
    fn inside<R>(&mut self, name: &str, then: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.at.len();
        self.at.push('/');
        for c in name.chars().filter(|c| !c.is_control()).take(64) {
            let _ = match c {
                '~' => self.at.write_str("~0"),
                '/' => self.at.write_str("~1"),
                c => self.at.write_char(c),
            };
        }
        let result = then(self);
        self.at.truncate(before);
        result
    }
}
