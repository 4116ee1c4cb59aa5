package config

import (
	"slices"
	"strings"
	"testing"
)

// What one setting alone allows and another does not is told by the names of flags, not of Go's fields.
func TestFaultsBetweenSettingsNameThem(t *testing.T) {
	t.Parallel()
	for i, row := range table(DefaultSettings()) {
		low, high, ranged := strings.Cut(row.span, " to ")
		if !ranged {
			continue
		}
		for _, value := range []string{low, high} {
			settings := DefaultSettings()
			settings.UseDatabase("postgres://127.0.0.1/x")
			if err := table(settings)[i].set(value); err != nil {
				t.Errorf("%s=%s: %v", row.key, value, err)
			}
			if err := settings.Check(); err != nil {
				checkNamed(t, row.key+"="+value, err)
			}
		}
	}
}

// checkNamed expects each line of a fault to have the name of a setting.
func checkNamed(t *testing.T, what string, err error) {
	t.Helper()
	for line := range strings.Lines(err.Error()) {
		named := slices.ContainsFunc(table(DefaultSettings()), func(s setting) bool { return strings.Contains(line, "("+s.key+")") })
		if !named {
			t.Errorf("%s: no setting is named: %s", what, line)
		}
	}
}

// Texts that only their package can judge.
func TestFaultsOfTextsNameTheirSettings(t *testing.T) {
	t.Parallel()
	const host, from = "--mail-host=h", "--mail-from=a@b.example"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{host}, "(mail-from)"},
		{[]string{host, "--mail-from=nobody"}, "(mail-from)"},
		{[]string{host, from, "--mail-command=c"}, "(mail-command)"},
		{[]string{from, "--mail-host=a b"}, "(mail-host)"},
		{[]string{host, from, "--mail-password=p"}, "(mail-user)"},
		{[]string{host, from, "--mail-user=u", "--mail-tls=none"}, "(mail-tls)"},
		{[]string{host, from, "--mail-hello=a b"}, "(mail-hello)"},
		{[]string{from, "--mail-command=a\nb"}, "(mail-command)"},
		{[]string{"--webhook-timeout=20s"}, "(delivery-lease)"},
		{[]string{"--max-frame=1GiB"}, "(max-frame)"},
		{[]string{"--webhook-allow=10.0.0.0/33"}, "(webhook-allow)"},
		{[]string{"--webhook-allow=::ffff:10.0.0.0/104"}, "(webhook-allow)"},
		{[]string{"--signing-key=short"}, "(signing-key)"},
		{[]string{"--public-url=mq"}, "(public-url)"},
		{[]string{"--require-confirmation"}, "(require-confirmation)"},
		{[]string{"--database-url=postgres://h/x", "--notify-channel="}, "(notify-channel)"},
	} {
		_, err := load(t, nil, append(c.args, "--data-dir=/data")...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: the fault does not name %s: %v", c.args, c.want, err)
		}
	}
}
