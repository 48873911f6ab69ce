CREATE TABLE association_series (
	association_id VARCHAR(64) NOT NULL, 
	series_uid VARCHAR(64) NOT NULL, 
	PRIMARY KEY (association_id, series_uid), 
	FOREIGN KEY(association_id) REFERENCES associations (association_id)
);
CREATE TABLE associations (
	association_id VARCHAR(64) NOT NULL, 
	process_token VARCHAR(64) NOT NULL, 
	calling_ae_title VARCHAR(16) NOT NULL, 
	called_ae_title VARCHAR(16) NOT NULL, 
	address VARCHAR(64) NOT NULL, 
	opened_at VARCHAR(32) NOT NULL, 
	closed_at VARCHAR(32), 
	PRIMARY KEY (association_id)
);
CREATE TABLE deliveries (
	delivery_id INTEGER NOT NULL, 
	object_id INTEGER NOT NULL, 
	result_set_id INTEGER NOT NULL, 
	destination VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	refusals INTEGER NOT NULL, 
	token INTEGER NOT NULL, 
	next_attempt_at VARCHAR(32) NOT NULL, 
	claimed_by VARCHAR(64) NOT NULL, 
	lease_until VARCHAR(32), 
	accepted_at VARCHAR(32), 
	PRIMARY KEY (delivery_id), 
	UNIQUE (object_id, destination), 
	FOREIGN KEY(object_id) REFERENCES objects (object_id), 
	FOREIGN KEY(result_set_id) REFERENCES result_sets (result_set_id)
);
CREATE TABLE events (
	event_id INTEGER NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	series_uid VARCHAR(64) NOT NULL, 
	job_id INTEGER, 
	kind VARCHAR(32) NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (event_id)
);
CREATE TABLE header_variants (
	variant_id INTEGER NOT NULL, 
	series_uid VARCHAR(64) NOT NULL, 
	attributes TEXT NOT NULL, 
	PRIMARY KEY (variant_id), 
	FOREIGN KEY(series_uid) REFERENCES series (series_uid)
);
CREATE TABLE instances (
	instance_id INTEGER NOT NULL, 
	series_uid VARCHAR(64) NOT NULL, 
	study_uid VARCHAR(64) NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	sop_class_uid VARCHAR(64) NOT NULL, 
	transfer_syntax_uid VARCHAR(64) NOT NULL, 
	content_digest VARCHAR(64) NOT NULL, 
	patient_key VARCHAR(64) NOT NULL, 
	path TEXT NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	received_at VARCHAR(32) NOT NULL, 
	association_id VARCHAR(64) NOT NULL, 
	current BOOLEAN NOT NULL, 
	variant_id INTEGER NOT NULL, 
	instance_number INTEGER, 
	position TEXT NOT NULL, 
	orientation TEXT NOT NULL, 
	frames INTEGER NOT NULL, 
	PRIMARY KEY (instance_id), 
	UNIQUE (series_uid, sop_instance_uid, content_digest), 
	FOREIGN KEY(series_uid) REFERENCES series (series_uid), 
	UNIQUE (path), 
	FOREIGN KEY(variant_id) REFERENCES header_variants (variant_id)
);
CREATE TABLE job_instances (
	job_id INTEGER NOT NULL, 
	instance_id INTEGER NOT NULL, 
	PRIMARY KEY (job_id, instance_id), 
	FOREIGN KEY(job_id) REFERENCES jobs (job_id), 
	FOREIGN KEY(instance_id) REFERENCES instances (instance_id)
);
CREATE TABLE jobs (
	job_id INTEGER NOT NULL, 
	series_uid VARCHAR(64) NOT NULL, 
	study_uid VARCHAR(64) NOT NULL, 
	input_digest VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	flags TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	attempts INTEGER NOT NULL, 
	token INTEGER NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	available_at VARCHAR(32) NOT NULL, 
	claimed_by VARCHAR(64) NOT NULL, 
	lease_until VARCHAR(32), 
	deadline_at VARCHAR(32), 
	started_at VARCHAR(32), 
	finished_at VARCHAR(32), 
	supersedes INTEGER, 
	result_set_id INTEGER, 
	record TEXT NOT NULL, 
	PRIMARY KEY (job_id), 
	FOREIGN KEY(series_uid) REFERENCES series (series_uid), 
	FOREIGN KEY(supersedes) REFERENCES jobs (job_id), 
	FOREIGN KEY(result_set_id) REFERENCES result_sets (result_set_id)
);
CREATE TABLE ledger_meta (
	"key" VARCHAR(32) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE TABLE objects (
	object_id INTEGER NOT NULL, 
	result_set_id INTEGER NOT NULL, 
	send_order INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	sop_class_uid VARCHAR(64) NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	series_instance_uid VARCHAR(64) NOT NULL, 
	transfer_syntax_uid VARCHAR(64) NOT NULL, 
	path TEXT NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	content_digest VARCHAR(64) NOT NULL, 
	PRIMARY KEY (object_id), 
	FOREIGN KEY(result_set_id) REFERENCES result_sets (result_set_id)
);
CREATE TABLE processes (
	token VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	host VARCHAR(255) NOT NULL, 
	pid INTEGER NOT NULL, 
	started_at VARCHAR(32) NOT NULL, 
	seen_at VARCHAR(32) NOT NULL, 
	ended_at VARCHAR(32), 
	PRIMARY KEY (token)
);
CREATE TABLE result_sets (
	result_set_id INTEGER NOT NULL, 
	series_uid VARCHAR(64) NOT NULL, 
	input_digest VARCHAR(64) NOT NULL, 
	model_digest VARCHAR(64) NOT NULL, 
	configuration_digest VARCHAR(64) NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	supersedes INTEGER, 
	PRIMARY KEY (result_set_id), 
	UNIQUE (series_uid, input_digest, model_digest, configuration_digest), 
	FOREIGN KEY(series_uid) REFERENCES series (series_uid), 
	FOREIGN KEY(supersedes) REFERENCES result_sets (result_set_id)
);
CREATE TABLE series (
	series_uid VARCHAR(64) NOT NULL, 
	study_uid VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	calling_ae_title VARCHAR(16) NOT NULL, 
	first_received_at VARCHAR(32) NOT NULL, 
	last_received_at VARCHAR(32) NOT NULL, 
	look_at VARCHAR(32), 
	complete_at VARCHAR(32), 
	eligible BOOLEAN NOT NULL, 
	flags TEXT NOT NULL, 
	PRIMARY KEY (series_uid)
);
CREATE INDEX deliveries_due ON deliveries (destination, state, next_attempt_at);
CREATE INDEX instances_of_series ON instances (series_uid, current);
CREATE INDEX ix_association_series_series_uid ON association_series (series_uid);
CREATE INDEX ix_associations_process_token ON associations (process_token);
CREATE INDEX ix_deliveries_result_set_id ON deliveries (result_set_id);
CREATE INDEX ix_events_series_uid ON events (series_uid);
CREATE INDEX ix_header_variants_series_uid ON header_variants (series_uid);
CREATE INDEX ix_jobs_series_uid ON jobs (series_uid);
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE INDEX ix_objects_result_set_id ON objects (result_set_id);
CREATE INDEX ix_result_sets_series_uid ON result_sets (series_uid);
CREATE INDEX ix_series_study_uid ON series (study_uid);
CREATE INDEX series_due ON series (state, look_at);
