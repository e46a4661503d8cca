# Where Postgres's programs are: for scripts that start servers of their own. To be sourced.
# shellcheck shell=bash

# initdb and postgres for the server, createdb for databases in it.
is_postgres() { [[ $1 == /* && -x $1/initdb && -x $1/postgres && -x $1/createdb ]]; }

# The directory of the programs. DOORWARD_TEST_POSTGRES is taken at its word, if it is set.
postgres_programs() {
    local directory path
    if [[ -n ${DOORWARD_TEST_POSTGRES+set} ]]; then
        is_postgres "$DOORWARD_TEST_POSTGRES" && echo "$DOORWARD_TEST_POSTGRES"
        return
    fi
    IFS=: read -ra path <<<"$PATH"
    for directory in "${path[@]}" /usr/lib/postgresql/*/bin /usr/libexec/postgresql* /usr/pgsql-*/bin \
        /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
        if is_postgres "$directory"; then
            echo "$directory"
            return
        fi
    done
    return 1
}
