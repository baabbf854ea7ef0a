//! Rust source out of the model.

use std::fmt::Write as _;

use crate::kinds::Kind;
use crate::model::{Enum, Object, Property, Resource, Ty};
use crate::names::{literal, variant};

/// Why each lint is off in generated code.
const LINTS: &str = "#[allow(clippy::too_many_arguments, rustdoc::bare_urls, rustdoc::broken_intra_doc_links, \
     rustdoc::invalid_html_tags, reason = \"generated: required properties are arguments, docs are AWS's\")]";

/// `pub mod` line of a service.
pub(crate) fn module_entry(service: &str, resources: &[Resource]) -> String {
    let types: Vec<String> = resources.iter().map(|resource| format!("`{}`", resource.type_name)).collect();
    format!(
        "/// {}.\n{LINTS}\npub mod {service} {{\n    include!(concat!(env!(\"OUT_DIR\"), \"/{service}.rs\"));\n}}\n",
        types.join(", ")
    )
}

/// Everything of one service.
pub(crate) fn service(resources: &[Resource]) -> String {
    let mut out = String::new();
    for resource in resources {
        emit_resource(&mut out, resource);
    }
    out
}

/// A function for the tests that adds one resource of each type.
pub(crate) fn construct_each(resources: &[&Resource]) -> String {
    let mut out = String::from("fn construct_each(template: &mut crate::Template) {\n");
    for resource in resources {
        let home = format!("crate::{}::{}", resource.service, resource.module);
        let arguments: Vec<String> = resource
            .object
            .properties
            .iter()
            .filter(|property| property.required)
            .map(|property| match &property.ty {
                Ty::Map(value) => format!("std::iter::empty::<(String, crate::Value<{}>)>()", rust(value, &home)),
                plain => format!("crate::pseudo::no_value::<{}>()", rust(plain, &home)),
            })
            .collect();
        let id = resource.type_name.replace("::", "");
        let _ = writeln!(
            out,
            "    let handle = template.add({}, crate::{}::{}::new({}));",
            literal(&id),
            resource.service,
            resource.name,
            arguments.join(", ")
        );
        let _ = writeln!(out, "    let _ = handle.reference();");
        for attribute in &resource.attributes {
            let _ = writeln!(out, "    assert_readable(&handle, &handle.{}());", attribute.method);
        }
    }
    out.push_str("}\n");
    out
}

fn emit_resource(out: &mut String, resource: &Resource) {
    let Resource { type_name, service, name, module, object, objects, enums, attributes, reference } = resource;
    let home = format!("crate::{service}::{module}");
    docs(out, "", &[or(&object.docs, &format!("`{type_name}`."))]);
    let _ = writeln!(out, "///\n/// CloudFormation's `{type_name}`.");
    emit_struct(out, "", name, object, &home);
    let _ = writeln!(
        out,
        "impl crate::Resource for {name} {{
    const TYPE: &'static str = {};
    type Reference = {};
    fn from_properties(properties: crate::Properties) -> Self {{ Self(properties) }}
    fn into_properties(self) -> crate::Properties {{ self.0 }}
}}",
        literal(type_name),
        kind(reference),
    );
    if !attributes.is_empty() {
        let _ = writeln!(out, "impl crate::Handle<{name}> {{");
        for attribute in attributes {
            docs(out, "    ", &[or(&attribute.docs, &format!("The attribute `{}`.", attribute.name))]);
            let _ = writeln!(
                out,
                "    pub fn {}(&self) -> crate::Value<{}> {{ self.attribute({}) }}",
                attribute.method,
                rust(&attribute.ty, &home),
                literal(&attribute.name)
            );
        }
        out.push_str("}\n");
    }
    if objects.is_empty() && enums.is_empty() {
        return;
    }
    let _ = writeln!(out, "/// Types of the properties of [`{name}`].\npub mod {module} {{");
    for (nested, object) in objects {
        docs(out, "    ", &[or(&object.docs, &format!("`{nested}` of `{type_name}`."))]);
        emit_struct(out, "    ", nested, object, &home);
        let _ = writeln!(
            out,
            "    impl crate::Literal for {nested} {{ fn into_json(self) -> crate::Json {{ self.0.into_json() }} }}"
        );
    }
    for (nested, values) in enums {
        emit_enum(out, nested, values, type_name);
    }
    out.push_str("}\n");
}

fn emit_struct(out: &mut String, indent: &str, name: &str, object: &Object, home: &str) {
    let required: Vec<&Property> = object.properties.iter().filter(|property| property.required).collect();
    let default = if required.is_empty() { ", Default" } else { "" };
    let _ = writeln!(
        out,
        "{indent}#[derive(Clone, Debug, PartialEq{default})]\n{indent}pub struct {name}(crate::Properties);"
    );
    let _ = writeln!(out, "{indent}impl {name} {{");
    let arguments: Vec<String> =
        required.iter().map(|one| format!("{}: {}", one.method, argument(&one.ty, home))).collect();
    if required.is_empty() {
        docs(out, indent, &["Nothing set yet.".to_owned()]);
        let _ = writeln!(out, "{indent}    pub fn new() -> Self {{ Self(crate::Properties::new()) }}");
    } else {
        let names: Vec<String> = required.iter().map(|one| format!("`{}`", one.name)).collect();
        docs(out, indent, &[format!("Takes what is required, in alphabetical order: {}.", names.join(", "))]);
        let _ = writeln!(out, "{indent}    pub fn new({}) -> Self {{", arguments.join(", "));
        let _ = writeln!(out, "{indent}        let mut properties = crate::Properties::new();");
        for one in &required {
            let _ = writeln!(out, "{indent}        properties.{}", store(one));
        }
        let _ = writeln!(out, "{indent}        Self(properties)\n{indent}    }}");
    }
    for one in &object.properties {
        docs(out, indent, &one.docs);
        // On lines of their own: compiler errors then show the signature and nothing else.
        let (setter, name, ty) = (setter(one), &one.method, argument(&one.ty, home));
        let _ = writeln!(out, "{indent}    pub fn {setter}(mut self, {name}: {ty}) -> Self {{");
        let _ = writeln!(out, "{indent}        self.0.{}\n{indent}        self\n{indent}    }}", store(one));
    }
    let _ = writeln!(out, "{indent}}}");
}

fn emit_enum(out: &mut String, name: &str, values: &Enum, type_name: &str) {
    docs(out, "    ", &[or(&values.docs, &format!("`{name}` of `{type_name}`."))]);
    let _ = writeln!(out, "    #[derive(Clone, Copy, Debug, PartialEq, Eq)]\n    pub enum {name} {{");
    let mut variants: Vec<(String, &str)> = Vec::new();
    for value in &values.values {
        let mut name = variant(value);
        while variants.iter().any(|(known, _)| *known == name) {
            name.push('_');
        }
        variants.push((name, value));
    }
    for (variant, value) in &variants {
        let _ = writeln!(out, "        /// `{value}`.\n        {variant},");
    }
    let _ = writeln!(
        out,
        "    }}\n    impl {name} {{\n        /// CloudFormation's word.\n        pub fn as_str(self) -> &'static str {{\n            match self {{"
    );
    for (variant, value) in &variants {
        let _ = writeln!(out, "                Self::{variant} => {},", literal(value));
    }
    let _ = writeln!(
        out,
        "            }}\n        }}\n    }}\n    impl crate::Literal for {name} {{ fn into_json(self) -> crate::Json {{ self.as_str().into() }} }}"
    );
}

/// Name of the setter. A property called `New` would clash with the constructor.
fn setter(property: &Property) -> &str {
    assert_ne!(property.method, "new", "a property can't be called `New`");
    &property.method
}

/// The statement that stores an argument.
fn store(property: &Property) -> String {
    let (name, argument) = (literal(&property.name), &property.method);
    match property.ty {
        Ty::List(_) => format!("set_list({name}, {argument});"),
        Ty::Map(_) => format!("set_map({name}, {argument});"),
        _ => format!("set({name}, {argument}.into().into_inner());"),
    }
}

fn argument(ty: &Ty, home: &str) -> String {
    match ty {
        Ty::List(item) => format!("impl crate::IntoList<{}>", rust(item, home)),
        Ty::Map(value) => {
            format!("impl IntoIterator<Item = (impl Into<String>, impl Into<crate::Value<{}>>)>", rust(value, home))
        }
        plain => format!("impl Into<crate::Value<{}>>", rust(plain, home)),
    }
}

fn rust(ty: &Ty, home: &str) -> String {
    match ty {
        Ty::Text => "String".to_owned(),
        Ty::Integer => "i64".to_owned(),
        Ty::Number => "f64".to_owned(),
        Ty::Boolean => "bool".to_owned(),
        Ty::Json | Ty::Map(_) => "crate::Json".to_owned(),
        Ty::Refers(refers) => kind(refers),
        Ty::Nested(name) => format!("{home}::{name}"),
        Ty::Tag => "crate::Tag".to_owned(),
        Ty::List(item) => format!("crate::List<{}>", rust(item, home)),
    }
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Arn(path) => format!("crate::Arn<{path}>"),
        Kind::Id(path) => format!("crate::Id<{path}>"),
        Kind::AnyKey => "crate::AnyKey".to_owned(),
        Kind::AnyFunction => "crate::AnyFunction".to_owned(),
    }
}

fn docs(out: &mut String, indent: &str, paragraphs: &[String]) {
    for (index, paragraph) in paragraphs.iter().enumerate() {
        if index > 0 {
            let _ = writeln!(out, "{indent}///");
        }
        let _ = writeln!(out, "{indent}/// {}", paragraph.replace("``", "`").replace('\n', " "));
    }
}

fn or(text: &str, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text.to_owned() }
}
