-- What the queries of the `sql` catalogue read. Tables or views of these names and columns will do.
CREATE TABLE people (
    username VARCHAR(128) PRIMARY KEY,
    name VARCHAR(200) NOT NULL,
    email VARCHAR(200),
    affiliation VARCHAR(200),
    uid INTEGER,
    gid INTEGER,
    gids VARCHAR(1000),
    groups VARCHAR(1000),
    roles VARCHAR(1000)
);
CREATE TABLE instruments (
    id VARCHAR(64) PRIMARY KEY,
    name VARCHAR(200) NOT NULL,
    description VARCHAR(2000)
);
CREATE TABLE instrument_scientists (
    instrument VARCHAR(64) NOT NULL,
    username VARCHAR(128) NOT NULL,
    PRIMARY KEY (instrument, username)
);
CREATE TABLE proposals (
    id VARCHAR(64) PRIMARY KEY,
    title VARCHAR(1000) NOT NULL,
    principal VARCHAR(128)
);
CREATE TABLE experiments (
    id VARCHAR(64) PRIMARY KEY,
    title VARCHAR(1000) NOT NULL,
    proposal VARCHAR(64) NOT NULL,
    instrument VARCHAR(64) NOT NULL,
    start_date DATE NOT NULL,
    end_date DATE,
    release_date DATE,
    doi VARCHAR(200)
);
CREATE TABLE team (
    experiment VARCHAR(64) NOT NULL,
    username VARCHAR(128) NOT NULL,
    PRIMARY KEY (experiment, username)
);
CREATE INDEX team_by_person ON team (username)
