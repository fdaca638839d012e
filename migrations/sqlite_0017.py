"""The schema 0017 on SQLite, where new catalogs begin with it; later migrations follow.

It is what the migrations make of an empty file, without their time and without loading Alembic,
which a first index would wait for. A test compares both.
"""

BASELINE = "0017"

STATEMENTS = """
CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)

CREATE TABLE spaces (
  id INTEGER NOT NULL,
  "key" TEXT NOT NULL,
  model TEXT NOT NULL,
  revision TEXT NOT NULL,
  preprocessing TEXT NOT NULL,
  dimension INTEGER NOT NULL,
  created_at DATETIME NOT NULL, instruction TEXT DEFAULT '' NOT NULL,
  CONSTRAINT pk_spaces PRIMARY KEY (id),
  CONSTRAINT uq_spaces_key UNIQUE ("key")
)

CREATE TABLE roots (
  id INTEGER NOT NULL,
  path TEXT NOT NULL,
  exclude JSON NOT NULL,
  hidden BOOLEAN NOT NULL,
  added_at DATETIME NOT NULL,
  scanned_at DATETIME, mounts JSON DEFAULT '[]' NOT NULL,
  CONSTRAINT pk_roots PRIMARY KEY (id),
  CONSTRAINT uq_roots_path UNIQUE (path)
)

CREATE TABLE runs (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  space_id INTEGER NOT NULL,
  precision TEXT NOT NULL,
  started_at DATETIME NOT NULL,
  finished_at DATETIME,
  outcome TEXT NOT NULL,
  counts JSON NOT NULL,
  CONSTRAINT fk_runs_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
)

CREATE TABLE images (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  root_id INTEGER NOT NULL,
  path TEXT NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  content_hash TEXT NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  format TEXT NOT NULL,
  orientation INTEGER NOT NULL,
  taken_at DATETIME,
  camera_make TEXT,
  camera_model TEXT,
  latitude FLOAT,
  longitude FLOAT,
  status TEXT NOT NULL,
  added_at DATETIME NOT NULL,
  gone_at DATETIME, name_key TEXT DEFAULT '' NOT NULL, camera_key TEXT, title TEXT, description
    TEXT, keywords TEXT, ctime_ns INTEGER DEFAULT '0' NOT NULL, inode INTEGER DEFAULT '0' NOT
    NULL, sidecar_stamp INTEGER DEFAULT '0' NOT NULL, metadata_version INTEGER DEFAULT '0' NOT
    NULL, taken_precision TEXT, taken_source TEXT, people TEXT, city TEXT, state TEXT, country
    TEXT, note TEXT, utc_offset_minutes INTEGER, rating INTEGER, country_code TEXT,
    gazetteer_fields TEXT, gazetteer_version INTEGER DEFAULT '0' NOT NULL,
  CONSTRAINT fk_images_root_id_roots FOREIGN KEY(root_id) REFERENCES roots (id),
  CONSTRAINT uq_images_root_id_path UNIQUE (root_id, path),
  CONSTRAINT ck_images_ck_images_status CHECK (status IN ('present', 'gone', 'unreadable'))
)

CREATE INDEX ix_images_content_hash_status ON images (content_hash, status)

CREATE INDEX ix_images_size ON images (size)

CREATE INDEX ix_images_status_gone_at ON images (status, gone_at)

CREATE TABLE embeddings (
  id INTEGER NOT NULL,
  space_id INTEGER NOT NULL,
  image_id INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  vector BLOB NOT NULL,
  CONSTRAINT pk_embeddings PRIMARY KEY (id),
  CONSTRAINT fk_embeddings_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id),
  CONSTRAINT fk_embeddings_image_id_images FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE
    CASCADE,
  CONSTRAINT uq_embeddings_image_id_space_id UNIQUE (image_id, space_id)
)

CREATE INDEX ix_embeddings_space_id_revision ON embeddings (space_id, revision)

CREATE TABLE tombstones (
  space_id INTEGER NOT NULL,
  image_id INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  CONSTRAINT pk_tombstones PRIMARY KEY (space_id, image_id),
  CONSTRAINT fk_tombstones_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
)

CREATE INDEX ix_tombstones_space_id_revision ON tombstones (space_id, revision)

CREATE TABLE skipped (
  id INTEGER NOT NULL,
  root_id INTEGER NOT NULL,
  path TEXT NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  reason TEXT NOT NULL,
  transient BOOLEAN NOT NULL,
  decoder TEXT NOT NULL,
  run_id INTEGER NOT NULL, ctime_ns INTEGER DEFAULT '0' NOT NULL, inode INTEGER DEFAULT '0' NOT
    NULL,
  CONSTRAINT pk_skipped PRIMARY KEY (id),
  CONSTRAINT fk_skipped_root_id_roots FOREIGN KEY(root_id) REFERENCES roots (id),
  CONSTRAINT fk_skipped_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id),
  CONSTRAINT uq_skipped_root_id_path UNIQUE (root_id, path)
)

CREATE TABLE commits (
  revision INTEGER NOT NULL,
  token TEXT NOT NULL,
  CONSTRAINT pk_commits PRIMARY KEY (revision)
)

CREATE INDEX ix_images_status_taken_at ON images (status, taken_at, mtime_ns)

CREATE INDEX ix_images_status_name_key ON images (status, name_key)

CREATE INDEX ix_images_status_camera_key ON images (status, camera_key)

CREATE INDEX ix_images_status_format ON images (status, format)

CREATE INDEX ix_images_status_width_height ON images (status, width, height)

CREATE INDEX ix_images_status_latitude_longitude ON images (status, latitude, longitude)

CREATE TABLE reference_scores (
  space_id INTEGER NOT NULL,
  modality TEXT NOT NULL,
  location FLOAT NOT NULL,
  scale FLOAT NOT NULL,
  pictures INTEGER NOT NULL,
  CONSTRAINT pk_reference_scores PRIMARY KEY (space_id, modality),
  CONSTRAINT fk_reference_scores_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
)

CREATE TABLE reference_texts (
  space_id INTEGER NOT NULL,
  digest TEXT NOT NULL,
  vectors BLOB NOT NULL,
  priors BLOB,
  CONSTRAINT pk_reference_texts PRIMARY KEY (space_id),
  CONSTRAINT fk_reference_texts_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
)

CREATE TABLE texts (
  content_hash TEXT NOT NULL,
  engine TEXT NOT NULL,
  text TEXT NOT NULL,
  reason TEXT NOT NULL,
  CONSTRAINT pk_texts PRIMARY KEY (content_hash)
)

CREATE INDEX ix_images_status_rating ON images (status, rating)

CREATE TABLE labels (
  field TEXT NOT NULL,
  "key" TEXT NOT NULL,
  image_id INTEGER NOT NULL,
  CONSTRAINT pk_labels PRIMARY KEY (field, "key", image_id),
  CONSTRAINT fk_labels_image_id_images FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE
    CASCADE
) WITHOUT ROWID

CREATE INDEX ix_labels_image_id ON labels (image_id)

CREATE VIEW searchable AS SELECT images.id, images.content_hash, path, camera_make, camera_model,
    title, description, keywords, people, city, state, country, texts.text AS text FROM images
    LEFT JOIN texts ON texts.content_hash = images.content_hash

CREATE VIRTUAL TABLE words USING fts5(path, camera_make, camera_model, title, description,
    keywords, people, city, state, country, text, forms, tokenize='ascii')

CREATE TRIGGER images_insert AFTER INSERT ON images BEGIN
  INSERT INTO words(rowid, path, camera_make, camera_model, title, description, keywords, people,
    city, state, country, text, forms) SELECT id, word_text(path), word_text(camera_make),
    word_text(camera_model), word_text(title), word_text(description), word_text(keywords),
    word_text(people), word_text(city), word_text(state), word_text(country), word_text(text),
    word_forms(path, camera_make, camera_model, title, description, keywords, people, city, state,
    country, text) FROM searchable WHERE id = new.id;
END

CREATE TRIGGER images_delete AFTER DELETE ON images BEGIN
  DELETE FROM words WHERE rowid = old.id;
  DELETE FROM labels WHERE image_id = old.id;
  DELETE FROM texts WHERE content_hash = old.content_hash AND NOT EXISTS (SELECT 1 FROM images
    WHERE content_hash = old.content_hash);
END

CREATE TRIGGER images_update AFTER UPDATE OF path, camera_make, camera_model, title, description,
    keywords, people, city, state, country, content_hash ON images WHEN old.path IS NOT new.path
    OR old.camera_make IS NOT new.camera_make OR old.camera_model IS NOT new.camera_model OR
    old.title IS NOT new.title OR old.description IS NOT new.description OR old.keywords IS NOT
    new.keywords OR old.people IS NOT new.people OR old.city IS NOT new.city OR old.state IS NOT
    new.state OR old.country IS NOT new.country OR old.content_hash IS NOT new.content_hash BEGIN
  DELETE FROM words WHERE rowid = old.id;
  INSERT INTO words(rowid, path, camera_make, camera_model, title, description, keywords, people,
    city, state, country, text, forms) SELECT id, word_text(path), word_text(camera_make),
    word_text(camera_model), word_text(title), word_text(description), word_text(keywords),
    word_text(people), word_text(city), word_text(state), word_text(country), word_text(text),
    word_forms(path, camera_make, camera_model, title, description, keywords, people, city, state,
    country, text) FROM searchable WHERE id = new.id;
  DELETE FROM texts WHERE content_hash = old.content_hash AND NOT EXISTS (SELECT 1 FROM images
    WHERE content_hash = old.content_hash);
END

CREATE TRIGGER labels_insert AFTER INSERT ON images WHEN coalesce(new.title, new.description,
    new.keywords, new.people, new.city, new.state, new.country) IS NOT NULL BEGIN
  INSERT OR IGNORE INTO labels SELECT 'title', value, new.id FROM
    json_each(folded_labels(new.title, 0));
  INSERT OR IGNORE INTO labels SELECT 'description', value, new.id FROM
    json_each(folded_labels(new.description, 0));
  INSERT OR IGNORE INTO labels SELECT 'keywords', value, new.id FROM
    json_each(folded_labels(new.keywords, 1));
  INSERT OR IGNORE INTO labels SELECT 'people', value, new.id FROM
    json_each(folded_labels(new.people, 1));
  INSERT OR IGNORE INTO labels SELECT 'city', value, new.id FROM json_each(folded_labels(new.city,
    0));
  INSERT OR IGNORE INTO labels SELECT 'state', value, new.id FROM
    json_each(folded_labels(new.state, 0));
  INSERT OR IGNORE INTO labels SELECT 'country', value, new.id FROM
    json_each(folded_labels(new.country, 0));
END

CREATE TRIGGER labels_update AFTER UPDATE OF title, description, keywords, people, city, state,
    country ON images WHEN old.title IS NOT new.title OR old.description IS NOT new.description OR
    old.keywords IS NOT new.keywords OR old.people IS NOT new.people OR old.city IS NOT new.city
    OR old.state IS NOT new.state OR old.country IS NOT new.country BEGIN
  DELETE FROM labels WHERE image_id = old.id;
  INSERT OR IGNORE INTO labels SELECT 'title', value, new.id FROM
    json_each(folded_labels(new.title, 0));
  INSERT OR IGNORE INTO labels SELECT 'description', value, new.id FROM
    json_each(folded_labels(new.description, 0));
  INSERT OR IGNORE INTO labels SELECT 'keywords', value, new.id FROM
    json_each(folded_labels(new.keywords, 1));
  INSERT OR IGNORE INTO labels SELECT 'people', value, new.id FROM
    json_each(folded_labels(new.people, 1));
  INSERT OR IGNORE INTO labels SELECT 'city', value, new.id FROM json_each(folded_labels(new.city,
    0));
  INSERT OR IGNORE INTO labels SELECT 'state', value, new.id FROM
    json_each(folded_labels(new.state, 0));
  INSERT OR IGNORE INTO labels SELECT 'country', value, new.id FROM
    json_each(folded_labels(new.country, 0));
END

CREATE TRIGGER texts_insert AFTER INSERT ON texts BEGIN
  DELETE FROM words WHERE rowid IN (SELECT id FROM images WHERE content_hash = new.content_hash);
  INSERT INTO words(rowid, path, camera_make, camera_model, title, description, keywords, people,
    city, state, country, text, forms) SELECT id, word_text(path), word_text(camera_make),
    word_text(camera_model), word_text(title), word_text(description), word_text(keywords),
    word_text(people), word_text(city), word_text(state), word_text(country), word_text(text),
    word_forms(path, camera_make, camera_model, title, description, keywords, people, city, state,
    country, text) FROM searchable WHERE content_hash = new.content_hash;
END

CREATE TRIGGER texts_delete AFTER DELETE ON texts BEGIN
  DELETE FROM words WHERE rowid IN (SELECT id FROM images WHERE content_hash = old.content_hash);
  INSERT INTO words(rowid, path, camera_make, camera_model, title, description, keywords, people,
    city, state, country, text, forms) SELECT id, word_text(path), word_text(camera_make),
    word_text(camera_model), word_text(title), word_text(description), word_text(keywords),
    word_text(people), word_text(city), word_text(state), word_text(country), word_text(text),
    word_forms(path, camera_make, camera_model, title, description, keywords, people, city, state,
    country, text) FROM searchable WHERE content_hash = old.content_hash;
END

CREATE TRIGGER texts_update AFTER UPDATE OF text ON texts BEGIN
  DELETE FROM words WHERE rowid IN (SELECT id FROM images WHERE content_hash = new.content_hash);
  INSERT INTO words(rowid, path, camera_make, camera_model, title, description, keywords, people,
    city, state, country, text, forms) SELECT id, word_text(path), word_text(camera_make),
    word_text(camera_model), word_text(title), word_text(description), word_text(keywords),
    word_text(people), word_text(city), word_text(state), word_text(country), word_text(text),
    word_forms(path, camera_make, camera_model, title, description, keywords, people, city, state,
    country, text) FROM searchable WHERE content_hash = new.content_hash;
END

CREATE TABLE clusterings (
  space_id INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  pictures INTEGER NOT NULL,
  threshold FLOAT NOT NULL,
  words_digest TEXT NOT NULL,
  words BLOB NOT NULL,
  CONSTRAINT pk_clusterings PRIMARY KEY (space_id),
  CONSTRAINT fk_clusterings_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id)
)

CREATE TABLE clusters (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  space_id INTEGER NOT NULL,
  parent_id INTEGER,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL,
  medoid_id INTEGER NOT NULL,
  mean BLOB NOT NULL,
  CONSTRAINT fk_clusters_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id),
  CONSTRAINT fk_clusters_parent_id_clusters FOREIGN KEY(parent_id) REFERENCES clusters (id)
)

CREATE INDEX ix_clusters_name_key ON clusters (name_key)

CREATE INDEX ix_clusters_parent_id ON clusters (parent_id)

CREATE TABLE cluster_members (
  space_id INTEGER NOT NULL,
  image_id INTEGER NOT NULL,
  cluster_id INTEGER,
  CONSTRAINT pk_cluster_members PRIMARY KEY (space_id, image_id),
  CONSTRAINT fk_cluster_members_space_id_spaces FOREIGN KEY(space_id) REFERENCES spaces (id),
  CONSTRAINT fk_cluster_members_image_id_images FOREIGN KEY(image_id) REFERENCES images (id) ON
    DELETE CASCADE,
  CONSTRAINT fk_cluster_members_cluster_id_clusters FOREIGN KEY(cluster_id) REFERENCES clusters
    (id)
) WITHOUT ROWID

CREATE INDEX ix_cluster_members_cluster_id ON cluster_members (cluster_id)

CREATE INDEX ix_cluster_members_image_id ON cluster_members (image_id)

CREATE TABLE measures (
  content_hash TEXT NOT NULL,
  sharpness FLOAT NOT NULL,
  brightness FLOAT NOT NULL,
  shadows FLOAT NOT NULL,
  highlights FLOAT NOT NULL,
  contrast FLOAT NOT NULL,
  colourfulness FLOAT NOT NULL,
  kind TEXT NOT NULL,
  CONSTRAINT pk_measures PRIMARY KEY (content_hash)
) WITHOUT ROWID

CREATE TRIGGER measures_delete AFTER DELETE ON images BEGIN
  DELETE FROM measures WHERE content_hash = old.content_hash AND NOT EXISTS (SELECT 1 FROM images
    WHERE content_hash = old.content_hash);
END

CREATE TRIGGER measures_update AFTER UPDATE OF content_hash ON images WHEN old.content_hash IS NOT
    new.content_hash BEGIN
  DELETE FROM measures WHERE content_hash = old.content_hash AND NOT EXISTS (SELECT 1 FROM images
    WHERE content_hash = old.content_hash);
END

CREATE TABLE saved_searches (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  name_key TEXT NOT NULL,
  request TEXT NOT NULL,
  saved_at DATETIME NOT NULL,
  CONSTRAINT uq_saved_searches_name_key UNIQUE (name_key)
)

CREATE INDEX ix_images_gazetteer_version ON images (gazetteer_version, id) WHERE latitude IS NOT
    NULL

CREATE TABLE "library" (
  id INTEGER NOT NULL,
  uuid TEXT NOT NULL,
  revision INTEGER NOT NULL,
  purge_floor INTEGER NOT NULL,
  default_space_id INTEGER,
  created_at DATETIME NOT NULL,
  ocr TEXT DEFAULT ('') NOT NULL,
  CONSTRAINT pk_library PRIMARY KEY (id),
  CONSTRAINT ck_library_ck_library_one_row CHECK (id = 1),
  CONSTRAINT fk_library_default_space_id_spaces FOREIGN KEY(default_space_id) REFERENCES spaces
    (id)
)

INSERT INTO alembic_version VALUES ('0017')
""".strip().split("\n\n")
