"""Raw columns of a row as a network takes them, in C: numbers centred and scaled, codes of texts."""

from itertools import groupby

from ..data.fitting import DATE_FIELDS
from .c_text import float_literal
from .tables import is_text

__all__ = ["COLUMN_HELPERS", "encoded"]

# Functions of the file's own, each there if another calls it; a function may call only those after it
COLUMN_HELPERS = {
    "code": """\
/* The code of a text: that of its place among n of them in the order of strcmp */
static int32_t ${name}_code(const char *text, const char *const *texts, const int32_t *codes, int n, int32_t missing,
                            int32_t unseen)
{
    int low = 0, high = n;
    if (!text) return missing;
    while (low < high) {
        const int middle = low + (high - low) / 2, order = strcmp(text, texts[middle]);
        if (order == 0) return codes[middle];
        if (order < 0) high = middle;
        else low = middle + 1;
    }
    return unseen;
}
""",
    "binary": """\
static float ${name}_binary(int32_t code, float first, float second, float neither)
{
    return code == 0 ? first : code == 1 ? second : neither;
}
""",
    "scaled": """\
/* A number centred, scaled and bent to at most 3; 0 for a gap */
static float ${name}_scaled(double v, double center, double scale)
{
    if (${name}_is_gap(v) || !(scale > 0.0)) return 0.0f;
    v = (v - center) * scale;
    v = v > 1e9 ? 1e9 : v < -1e9 ? -1e9 : v;
    return (float)(v / sqrt(1.0 + (v / 3.0) * (v / 3.0)));
}
""",
    "date_part": """\
/* Of a date in seconds since 1970 in UTC: 0 days, 1 year, 2 month, 3 day of the week (Monday is 0), 4 hour. Years and
 * months are those of eras of 400 years that begin with a March: Hinnant (2014). */
static double ${name}_date_part(double seconds, int part)
{
    const int64_t day = INT64_C(86400000000);
    int64_t time, days, of_day, era, year, month;
    if (${name}_is_gap(seconds)) return seconds;
    seconds = seconds > 9.2e12 ? 9.2e12 : seconds < -9.2e12 ? -9.2e12 : seconds;
    time = (int64_t)floor(seconds * 1e6 + 0.5);
    days = time / day - (time % day < 0);
    of_day = time - days * day;
    if (part == 0) return (double)time / (double)day;
    if (part == 3) return (double)(((days + 3) % 7 + 7) % 7);
    if (part == 4) return (double)of_day * (24.0 / (double)day);
    days += 719468;
    era = days / 146097 - (days % 146097 < 0);
    days -= era * 146097;
    year = (days - days / 1460 + days / 36524 - days / 146096) / 365;
    days -= 365 * year + year / 4 - year / 100;
    month = (5 * days + 2) / 153;
    if (part == 1) return (double)(year + 400 * era + (month >= 10));
    return (double)(month < 10 ? month + 3 : month - 9);
}
""",
    "is_gap": """\
/* Whether a number is NaN, by its bits: compilers may be told that there is none */
static int ${name}_is_gap(double v)
{
    const float single = (float)v;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    return (bits & UINT32_C(0x7fffffff)) > UINT32_C(0x7f800000);
}
""",
}


def encoded(constants, encoding):
    """What fills x and codes from numbers and categories."""
    name = constants.name
    of_number = {id(column): i for i, column in enumerate(encoding.numeric)}
    of_category = {id(column): i for i, column in enumerate(encoding.categorical)}
    lines, slot = [], 0
    center, scale = constants.doubles("center", encoding.center), constants.doubles("factor", encoding.scale)
    for is_date, columns in groupby(encoding.numeric, lambda column: column.role == "date"):
        columns = list(columns)
        if not is_date:
            start = of_number[id(columns[0])]
            number = f"{name}_scaled(numbers[{start} + j], {center}[{slot} + j], {scale}[{slot} + j])"
            lines.append(f"for (int j = 0; j < {len(columns)}; j++) x[{slot} + j] = {number};")
            slot += len(columns)
            continue
        for column in columns:
            for field in column.fields:
                number = f"{name}_date_part(numbers[{of_number[id(column)]}], {DATE_FIELDS.index(field)})"
                lines.append(f"x[{slot}] = {name}_scaled({number}, {center}[{slot}], {scale}[{slot}]);")
                slot += 1
    first = slot
    for slot, column in enumerate(encoding.binary, first):
        values = ", ".join(map(float_literal, column.constants))
        lines.append(f"x[{slot}] = {name}_binary({_code(constants, column, of_category)}, {values});")
    for slot, column in enumerate(encoding.with_gaps, first + len(encoding.binary)):
        without, with_gap = map(float_literal, column.indicator)
        lines.append(f"x[{slot}] = {name}_is_gap(numbers[{of_number[id(column)]}]) ? {with_gap} : {without};")
    for slot, column in enumerate(encoding.coded):
        lines.append(f"codes[{slot}] = {_code(constants, column, of_category)};")
    return lines


def _code(constants, column, of_category):
    """The call that gives the code of a column's text."""
    codes, unseen = column.codes()
    missing = codes.pop(None)
    texts = sorted(level for level in codes if is_text(level))
    levels = constants.texts("texts", texts), constants.integers("codes", [codes[text] for text in texts])
    given = f"categories[{of_category[id(column)]}]"
    return f"{constants.name}_code({', '.join([given, *levels, *map(str, (len(texts), missing, unseen))])})"
