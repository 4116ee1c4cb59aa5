// Package pgserver runs a private PostgreSQL cluster for one gateway: the default store of a machine on which nobody
// has set up a database.
//
// # The data folder
//
// Config.DataDir holds, beside the cluster, what guards it:
//
//	lock                  flock'ed by the gateway that runs here; its text is that gateway's process id
//	postgres/             the cluster (PGDATA), 0700, owned by the account that runs PostgreSQL
//	run/                  the folder of the Unix socket, 0700, same owner
//	socket                names the socket's folder when DataDir's path is too long for a socket (107 bytes)
//	.initdb-unfinished-*  a cluster that is being made; renamed to postgres/ when it is whole, so that a crash in the
//	                      middle leaves no half cluster; swept at the next start
//
// Nothing in postgres/ is ever deleted or rewritten but postgresql.conf, pg_hba.conf, pg_ident.conf (written anew at
// each start; your own settings go through ALTER SYSTEM) and a stale postmaster.pid.
//
// # Accounts
//
// PostgreSQL refuses to run as root. A gateway that runs as root therefore runs it as the cluster's owner or, for a
// new cluster, as the first of the accounts nusku, postgres and nobody that exists, and hands postgres/ and run/ to it.
// DataDir itself stays root's, so that this account cannot swap what root opens there. There is no TCP port; the socket's
// folder is closed to others; and pg_hba.conf lets in, by peer credentials alone, the account that runs the server and
// the gateway's own. Both are the cluster's superuser "nusku". There is no password to lose.
//
// # Life
//
// Start returns when the server takes connections. From then on one goroutine owns the child process: it starts it,
// waits for it, starts it again with growing delays when it dies, and ends it when Stop is called. That goroutine is
// locked to its thread for life, because the kernel sends a child its parent-death signal when the *thread* that forked
// it ends. The death signal is SIGINT, PostgreSQL's fast shutdown: a gateway killed with SIGKILL leaves no orphan, and a
// cluster that was checkpointed. A server that is still busy with that when the next gateway starts is waited for.
package pgserver
