-- The user that a session's token names, until the transaction ends. $1 user id
select set_config('whale.user_id', $1::text, true)
