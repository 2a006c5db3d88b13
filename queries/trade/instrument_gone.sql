-- What the venue no longer lists is not traded any more. $1 venue, $2 market, $3 natives that it lists.
update instruments set trading = false, updated_at = now()
where venue = $1::text and market = $2::text and trading and native <> all ($3::text[]);
