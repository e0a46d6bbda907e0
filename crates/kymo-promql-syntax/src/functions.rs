//! The functions of PromQL and their signatures: one table, sorted by name, that the parser, the type check and the
//! evaluator share.

use std::fmt;

use crate::ast::ValueType::{self, Matrix, Scalar, String, Vector};

/// What a function takes and gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name, always lower case.
    pub name: &'static str,
    /// The types of the arguments. The last one stands for all further arguments when there may be more.
    pub args: &'static [ValueType],
    /// How few arguments there may be.
    pub args_min: usize,
    /// How many arguments there may be; `None` for any number.
    pub args_max: Option<usize>,
    /// What the function gives.
    pub returns: ValueType,
    /// Refused unless [`ParseOptions::experimental_functions`](crate::ParseOptions) is set.
    pub experimental: bool,
}

/// `n` arguments exactly, one optional last argument, up to `n` more, or any number more.
const fn signature(
    name: &'static str,
    args: &'static [ValueType],
    more: Option<usize>,
    returns: ValueType,
    experimental: bool,
) -> Signature {
    let (args_min, args_max) = match more {
        Some(0) => (args.len(), Some(args.len())),
        Some(usize::MAX) => (args.len() - 1, None),
        Some(n) => (args.len() - 1, Some(args.len() - 1 + n)),
        None => (args.len(), Some(args.len())),
    };
    Signature { name, args, args_min, args_max, returns, experimental }
}

const ANY: usize = usize::MAX;

macro_rules! functions {
    ($($variant:ident $name:literal ($($arg:ident),*) $(+ $more:expr)? => $returns:ident $(, $experimental:ident)?;)*) => {
        /// A function of PromQL.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum Function { $($variant,)* }

        const ALL: &[Function] = &[$(Function::$variant,)*];

        static SIGNATURES: &[Signature] = &[$(
            signature(
                $name,
                &[$($arg),*],
                functions!(@more $($more)?),
                $returns,
                functions!(@experimental $($experimental)?),
            ),
        )*];
    };
    (@more) => { None };
    (@more $more:expr) => { Some($more) };
    (@experimental) => { false };
    (@experimental experimental) => { true };
}

functions! {
    Abs "abs" (Vector) => Vector;
    Absent "absent" (Vector) => Vector;
    AbsentOverTime "absent_over_time" (Matrix) => Vector;
    Acos "acos" (Vector) => Vector;
    Acosh "acosh" (Vector) => Vector;
    Asin "asin" (Vector) => Vector;
    Asinh "asinh" (Vector) => Vector;
    Atan "atan" (Vector) => Vector;
    Atanh "atanh" (Vector) => Vector;
    AvgOverTime "avg_over_time" (Matrix) => Vector;
    Ceil "ceil" (Vector) => Vector;
    Changes "changes" (Matrix) => Vector;
    Clamp "clamp" (Vector, Scalar, Scalar) => Vector;
    ClampMax "clamp_max" (Vector, Scalar) => Vector;
    ClampMin "clamp_min" (Vector, Scalar) => Vector;
    Cos "cos" (Vector) => Vector;
    Cosh "cosh" (Vector) => Vector;
    CountOverTime "count_over_time" (Matrix) => Vector;
    DayOfMonth "day_of_month" (Vector) + 1 => Vector;
    DayOfWeek "day_of_week" (Vector) + 1 => Vector;
    DayOfYear "day_of_year" (Vector) + 1 => Vector;
    DaysInMonth "days_in_month" (Vector) + 1 => Vector;
    Deg "deg" (Vector) => Vector;
    Delta "delta" (Matrix) => Vector;
    Deriv "deriv" (Matrix) => Vector;
    DoubleExponentialSmoothing "double_exponential_smoothing" (Matrix, Scalar, Scalar) => Vector, experimental;
    End "end" () => Scalar, experimental;
    Exp "exp" (Vector) => Vector;
    FirstOverTime "first_over_time" (Matrix) => Vector;
    Floor "floor" (Vector) => Vector;
    HistogramAvg "histogram_avg" (Vector) => Vector;
    HistogramCount "histogram_count" (Vector) => Vector;
    HistogramFraction "histogram_fraction" (Scalar, Scalar, Vector) => Vector;
    HistogramQuantile "histogram_quantile" (Scalar, Vector) => Vector;
    HistogramQuantiles "histogram_quantiles" (Vector, String, Scalar, Scalar) + 9 => Vector, experimental;
    HistogramStddev "histogram_stddev" (Vector) => Vector;
    HistogramStdvar "histogram_stdvar" (Vector) => Vector;
    HistogramSum "histogram_sum" (Vector) => Vector;
    Hour "hour" (Vector) + 1 => Vector;
    Idelta "idelta" (Matrix) => Vector;
    Increase "increase" (Matrix) => Vector;
    Info "info" (Vector, Vector) + 1 => Vector, experimental;
    Irate "irate" (Matrix) => Vector;
    LabelJoin "label_join" (Vector, String, String, String) + ANY => Vector;
    LabelReplace "label_replace" (Vector, String, String, String, String) => Vector;
    LastOverTime "last_over_time" (Matrix) => Vector;
    Ln "ln" (Vector) => Vector;
    Log10 "log10" (Vector) => Vector;
    Log2 "log2" (Vector) => Vector;
    MadOverTime "mad_over_time" (Matrix) => Vector, experimental;
    MaxOf "max_of" (Scalar, Scalar) => Scalar, experimental;
    MaxOverTime "max_over_time" (Matrix) => Vector;
    MinOf "min_of" (Scalar, Scalar) => Scalar, experimental;
    MinOverTime "min_over_time" (Matrix) => Vector;
    Minute "minute" (Vector) + 1 => Vector;
    Month "month" (Vector) + 1 => Vector;
    Pi "pi" () => Scalar;
    PredictLinear "predict_linear" (Matrix, Scalar) => Vector;
    PresentOverTime "present_over_time" (Matrix) => Vector;
    QuantileOverTime "quantile_over_time" (Scalar, Matrix) => Vector;
    Rad "rad" (Vector) => Vector;
    Range "range" () => Scalar, experimental;
    Rate "rate" (Matrix) => Vector;
    Resets "resets" (Matrix) => Vector;
    Round "round" (Vector, Scalar) + 1 => Vector;
    ScalarOf "scalar" (Vector) => Scalar;
    Sgn "sgn" (Vector) => Vector;
    Sin "sin" (Vector) => Vector;
    Sinh "sinh" (Vector) => Vector;
    Sort "sort" (Vector) => Vector;
    SortByLabel "sort_by_label" (Vector, String) + ANY => Vector, experimental;
    SortByLabelDesc "sort_by_label_desc" (Vector, String) + ANY => Vector, experimental;
    SortDesc "sort_desc" (Vector) => Vector;
    Sqrt "sqrt" (Vector) => Vector;
    Start "start" () => Scalar, experimental;
    StartTimestamp "start_timestamp" (Vector) => Vector, experimental;
    StddevOverTime "stddev_over_time" (Matrix) => Vector;
    StdvarOverTime "stdvar_over_time" (Matrix) => Vector;
    Step "step" () => Scalar, experimental;
    SumOverTime "sum_over_time" (Matrix) => Vector;
    Tan "tan" (Vector) => Vector;
    Tanh "tanh" (Vector) => Vector;
    Time "time" () => Scalar;
    Timestamp "timestamp" (Vector) => Vector;
    TsOfFirstOverTime "ts_of_first_over_time" (Matrix) => Vector, experimental;
    TsOfLastOverTime "ts_of_last_over_time" (Matrix) => Vector, experimental;
    TsOfMaxOverTime "ts_of_max_over_time" (Matrix) => Vector, experimental;
    TsOfMinOverTime "ts_of_min_over_time" (Matrix) => Vector, experimental;
    VectorOf "vector" (Scalar) => Vector;
    Year "year" (Vector) + 1 => Vector;
}

impl Function {
    /// Every function, in order of name.
    ///
    /// ```
    /// assert_eq!(kymo_promql_syntax::Function::all().len(), 90);
    /// ```
    pub fn all() -> &'static [Function] {
        ALL
    }

    /// The function of this name. Names are case-sensitive, as in Prometheus.
    ///
    /// ```
    /// use kymo_promql_syntax::Function;
    /// assert_eq!(Function::from_name("rate"), Some(Function::Rate));
    /// assert_eq!(Function::from_name("RATE"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Function> {
        SIGNATURES.binary_search_by(|signature| signature.name.cmp(name)).ok().map(|at| ALL[at])
    }

    /// The name.
    pub fn name(self) -> &'static str {
        self.signature().name
    }

    /// What it takes and gives.
    pub fn signature(self) -> &'static Signature {
        &SIGNATURES[self as usize]
    }
}

impl Signature {
    /// The type that the argument at `index` must have.
    pub fn arg_type(&self, index: usize) -> Option<ValueType> {
        self.args.get(index).or(self.args.last()).copied()
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_complete_and_findable() {
        assert_eq!(SIGNATURES.iter().filter(|s| s.experimental).count(), 17);
        assert!(SIGNATURES.windows(2).all(|pair| pair[0].name < pair[1].name));
        for function in Function::all() {
            assert_eq!(Function::from_name(function.name()), Some(*function));
        }
    }

    #[test]
    fn counts_of_arguments() {
        for (name, min, max) in [
            ("rate", 1, Some(1)),
            ("time", 0, Some(0)),
            ("round", 1, Some(2)),
            ("hour", 0, Some(1)),
            ("label_join", 3, None),
            ("sort_by_label", 1, None),
            ("histogram_quantiles", 3, Some(12)),
        ] {
            let signature = Function::from_name(name).map(Function::signature).unwrap();
            assert_eq!((signature.args_min, signature.args_max), (min, max), "{name}");
        }
    }
}
