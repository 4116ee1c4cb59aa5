// Package storetest gives tests a real PostgreSQL: one private, unsafe but quick cluster per test process, started when
// the first test asks for it, and in it a migrated database for each test. Proxy stands between a test and its database
// and makes the connection fail at a chosen point of PostgreSQL's protocol.
//
//	func TestMain(m *testing.M) {
//		storetest.Main(m, func(url string) error { return store.Migrate(context.Background(), url, zerolog.Nop()) })
//	}
//
//	func TestPost(t *testing.T) {
//		t.Parallel()
//		url := storetest.URL(t)
//		...
//	}
//
// The cluster needs PostgreSQL's programs on the machine (see pgserver); NUSKU_TEST_POSTGRES_BIN names a folder with
// others to test against. With NUSKU_TEST_POSTGRES_LOG=1 the server's log goes to stderr.
package storetest
