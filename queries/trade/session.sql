-- Every statement here finds rows by key, up to 1,000 at once. Planned for its own size, and without the plans that read whole
-- tables: right after a crowd has come or gone the statistics say that a table is as good as empty, or that one trade is
-- unfinished, and such plans then take seconds.
select set_config('plan_cache_mode', 'force_custom_plan', false), set_config('enable_seqscan', 'off', false),
  set_config('enable_bitmapscan', 'off', false), set_config('enable_mergejoin', 'off', false), set_config('enable_hashjoin', 'off', false),
  set_config('enable_material', 'off', false)
