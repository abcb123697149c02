//! Tables of what can be set.

/// A table of settings: one row for each key of the file, with its flag and its environment variable. Whoever uses it has
/// `clap` and `serde`.
#[macro_export]
macro_rules! settings {
    (
        $(#[$documentation:meta])* $name:ident, $title:literal {
            $($(#[$help:meta])* $key:ident: $kind:ty, $flag:literal, $variable:literal;)*
        }
        $({ $($section:ident: $inside:ty;)* })?
    ) => {
        $(#[$documentation])*
        #[derive(Debug, Default, clap::Args, serde::Deserialize)]
        #[command(next_help_heading = $title)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $(
                $(#[$help])*
                #[arg(id = $flag, long = $flag, env = $variable, value_name = "VALUE", hide_env_values = true)]
                pub(crate) $key: Option<$kind>,
            )*
            $($(
                #[command(flatten)]
                #[serde(default)]
                pub(crate) $section: $inside,
            )*)?
        }

        impl $name {
            /// What is set here, and `other` where nothing is.
            pub(crate) fn or(self, other: Self) -> Self {
                Self {
                    $($key: self.$key.or(other.$key),)*
                    $($($section: self.$section.or(other.$section),)*)?
                }
            }
        }
    };
}
