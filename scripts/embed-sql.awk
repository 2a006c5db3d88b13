# Turns .sql files into C strings: out.h declares them, out.c holds them and a table in file order.
# queries/trade/claim.sql -> query_trade_claim; migrations/0001_spine.sql -> migration_0001_spine.
function name_of(path,    n) {
    n = path
    sub(/^queries\//, "", n); sub(/^migrations\//, "", n); sub(/\.sql$/, "", n)
    gsub(/[^A-Za-z0-9]/, "_", n)
    return prefix "_" n
}
BEGIN {
    header = out ".h"; source = out ".c"; count = 0
    printf "/* Generated from .sql files; see scripts/embed-sql.awk. */\n#ifndef WHALE_GEN_%s_H\n#define WHALE_GEN_%s_H\n", toupper(prefix), toupper(prefix) > header
    printf "typedef struct { const char *name; const char *text; } %s_entry;\n", prefix > header
    printf "#include \"%s.h\"\n", (prefix == "query" ? "queries" : "migrations") > source
}
FNR == 1 {
    if (count) printf ";\n" > source
    names[count] = name_of(FILENAME); files[count] = FILENAME; count++
    printf "extern const char %s[];\n", names[count - 1] > header
    printf "const char %s[] =\n", names[count - 1] > source
}
{
    line = $0
    gsub(/\\/, "\\\\", line); gsub(/"/, "\\\"", line)
    printf "    \"%s\\n\"\n", line > source
}
END {
    if (count) printf ";\n" > source
    printf "extern const %s_entry %s_entries[];\nextern const int %s_entry_count;\n#endif\n", prefix, prefix, prefix > header
    printf "const %s_entry %s_entries[] = {\n", prefix, prefix > source
    for (i = 0; i < count; i++) printf "    {\"%s\", %s},\n", files[i], names[i] > source
    printf "    {0, 0}};\nconst int %s_entry_count = %d;\n", prefix, count > source
}
