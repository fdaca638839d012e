-- The database of compose.servers.yaml, made when its volume is empty. psql runs it as postgres, who
-- can then connect only from within the container. pgvector needs a superuser to enable it.
\set password `cat /run/secrets/password`
CREATE ROLE imgsearch LOGIN PASSWORD :'password';
CREATE DATABASE imgsearch OWNER imgsearch;
ALTER ROLE postgres PASSWORD NULL;
\connect imgsearch
CREATE EXTENSION vector;
