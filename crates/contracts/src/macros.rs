//! The declaration of a program.

/// Declares what a program needs.
///
/// - `ambient`: read at run time, given by the platform (never bound by a stack), such as `AWS_REGION` in Lambda;
/// - `required`: settings without a default;
/// - `resources`: `field: Kind as Access = "VARIABLE"`;
/// - `settings`: `field: Type = "VARIABLE", default, range`;
/// - `contradictions`, if values depend on each other: a function that gets all of `ambient` (none in a stack, which doesn't
///   bind them), all of `required` and the settings, in this order, and tells every contradiction.
macro_rules! program {
    (
        $(#[$doc:meta])*
        $program:ident($name:literal), $binding:ident, $settings:ident {
            ambient { $($(#[$ambient_doc:meta])* $ambient:ident: $ambient_type:ty = $ambient_variable:literal,)* }
            required { $($(#[$required_doc:meta])* $required:ident: $required_type:ty = $required_variable:literal,)* }
            resources { $($(#[$resource_doc:meta])* $resource:ident: $kind:ident as $access:ident = $resource_variable:literal,)* }
            settings { $($(#[$setting_doc:meta])* $setting:ident: $setting_type:ty = $setting_variable:literal, $default:expr, $range:expr;)* }
            $(contradictions: $contradictions:path,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $program {
            $($(#[$ambient_doc])* pub $ambient: $ambient_type,)*
            $($(#[$required_doc])* pub $required: $required_type,)*
            $($(#[$resource_doc])* pub $resource: <crate::resource::$kind as crate::resource::Kind>::Address,)*
            /// Settings that have a default.
            pub settings: $settings,
        }

        #[doc = concat!("Settings of ", $name, " that have a default.")]
        #[derive(Clone, Debug, PartialEq)]
        pub struct $settings {
            $($(#[$setting_doc])* pub $setting: $setting_type,)*
        }

        impl Default for $settings {
            fn default() -> Self {
                Self { $($setting: $default,)* }
            }
        }

        #[doc = concat!("What a stack must give to ", $name, ": one field for each need.")]
        #[derive(Debug)]
        pub struct $binding<V> {
            $($(#[$required_doc])* pub $required: $required_type,)*
            $($(#[$resource_doc])* pub $resource: crate::Bound<V, crate::resource::$kind, crate::resource::$access>,)*
            /// Settings that have a default.
            pub settings: $settings,
        }

        impl $program {
            #[doc = concat!("The program's name, `", $name, "`: its folder, its binary, the last part of its function's name.")]
            pub const NAME: &'static str = $name;

            /// Reads the configuration from the process environment.
            ///
            /// # Errors
            /// Every variable that is missing, malformed or out of range, at once; else every contradiction between them.
            pub fn from_env() -> Result<Self, crate::ConfigError> {
                Self::from_lookup(|variable| std::env::var(variable).ok())
            }

            /// Reads the configuration from `lookup`, which gives a variable's text.
            ///
            /// # Errors
            /// Every variable that is missing, malformed or out of range, at once; else every contradiction between them.
            pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, crate::ConfigError> {
                let mut reader = crate::Reader::new(lookup);
                $(let $ambient = reader.required($ambient_variable, <$ambient_type as crate::Setting>::parse);)*
                $(let $required = reader.required($required_variable, <$required_type as crate::Setting>::parse);)*
                $(let $resource = reader.required($resource_variable, <crate::resource::$kind as crate::resource::Kind>::parse);)*
                $(let $setting = reader.optional($setting_variable, $default, |text| {
                    let value = <$setting_type as crate::Setting>::parse(text)?;
                    crate::macros::in_range(&value, &$range)?;
                    Ok(value)
                });)*
                reader.finish($name)?;
                let all = "the reader has recorded a mistake for every value that is absent";
                let config = Self {
                    $($ambient: $ambient.expect(all),)*
                    $($required: $required.expect(all),)*
                    $($resource: $resource.expect(all),)*
                    settings: $settings { $($setting: $setting.expect(all),)* },
                };
                let contradictions: Vec<crate::Mistake> = crate::macros::call!(
                    { $($contradictions)? }
                    ($(Some(&config.$ambient),)* $(&config.$required,)* &config.settings)
                );
                if contradictions.is_empty() {
                    Ok(config)
                } else {
                    Err(crate::ConfigError { program: $name, mistakes: contradictions })
                }
            }
        }

        impl<V: Clone> crate::Binding<V> for $binding<V> {
            const PROGRAM: &'static str = $name;

            fn variables(&self) -> Vec<crate::Variable<V>> {
                let always = vec![
                    $(crate::Variable {
                        name: $required_variable,
                        value: crate::Text::Literal(crate::Setting::render(&self.$required)),
                    },)*
                    $(self.$resource.variable($resource_variable),)*
                ];
                let settings = [$(crate::macros::variable($setting_variable, &self.settings.$setting),)*];
                always.into_iter().chain(settings.into_iter().flatten()).collect()
            }

            fn needs(&self) -> Vec<crate::Need<V>> {
                [$(self.$resource.need(stringify!($resource)),)*].into_iter().flatten().collect()
            }

            fn mistakes(&self) -> Vec<String> {
                let mut mistakes = Vec::new();
                $(if let Err(problem) = crate::macros::in_range(&self.settings.$setting, &$range) {
                    let value = crate::Setting::render(&self.settings.$setting);
                    mistakes.push(format!("{}: `{}` is `{value}`, which is {problem}", $name, stringify!($setting)));
                })*
                let contradictions: Vec<crate::Mistake> = crate::macros::call!(
                    { $($contradictions)? }
                    ($(None::<&$ambient_type>,)* $(&self.$required,)* &self.settings)
                );
                mistakes.extend(contradictions.iter().map(|mistake| format!("{}: {mistake}", $name)));
                mistakes
            }
        }
    };
}

/// Calls a declaration's function, if it has one.
macro_rules! call {
    ({} $arguments:tt) => {
        Vec::new()
    };
    ({ $function:path } ($($argument:expr),* $(,)?)) => {
        $function($($argument),*)
    };
}

pub(crate) use {call, program};

/// A setting's variable; none when its absence says the same.
pub(crate) fn variable<V, T: crate::Setting>(name: &'static str, value: &T) -> Option<crate::Variable<V>> {
    let written = || crate::Variable { name, value: crate::Text::Literal(value.render()) };
    (!value.is_said_by_absence()).then(written)
}

/// Checks a setting against its range; the phrase completes "… is `text`, which is …".
pub(crate) fn in_range<T: PartialOrd + crate::Setting>(
    value: &T,
    range: &std::ops::RangeInclusive<T>,
) -> Result<(), String> {
    if range.contains(value) {
        Ok(())
    } else {
        Err(format!("outside its range {} to {}", range.start().render(), range.end().render()))
    }
}
