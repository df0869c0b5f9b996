-- The passwords that container/init made, for the roles that come over the network.
\set ON_ERROR_STOP on
\set owner `cat /data/secrets/braid_owner`
\set app `cat /data/secrets/braid_app`
\set grafana `cat /data/secrets/braid_grafana`
ALTER ROLE braid_owner PASSWORD :'owner';
ALTER ROLE braid_app PASSWORD :'app';
ALTER ROLE braid_grafana PASSWORD :'grafana';
