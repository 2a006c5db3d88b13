-- Batches differ in size by a factor of 1,000: each is planned for itself.
select set_config('plan_cache_mode', 'force_custom_plan', false), set_config('jit', 'off', false)
