-- What a venue's market trades now. $1 venue, $2 market
select native from instruments where venue = $1 and market = $2 and trading order by id
