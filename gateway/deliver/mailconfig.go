package deliver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/mail"
	"os"
	"strings"
	"time"
)

// MailConfig holds the settings of mail: an SMTP server (Host) or a command, or neither, and then there is no mail.
type MailConfig struct {
	// Host is the SMTP server, a name or an address. Default none.
	Host string
	// Port is its port. 1 to 65,535, default 587.
	Port int
	// TLS is how the connection is encrypted: one of the MailTLS words. Default MailTLSStart.
	TLS string
	// CAFile is a PEM file of the certificate authorities that the server's certificate may come from. Default none, which
	// means the system's.
	CAFile string
	// User and Password are what the gateway authenticates with. Default none, which means that it does not.
	User, Password string
	// Hello is the name by which the gateway introduces itself to the server. Default none, which means this machine's.
	Hello string
	// Command is a program with its arguments, separated by spaces, to which mails are given in place of an SMTP server,
	// like "/usr/sbin/sendmail -t -oi": it reads one mail from its input and takes the recipients from the mail's header.
	// No shell is involved, and its environment has PATH, HOME and LANG only. Default none.
	Command string
	// From is the address that mails come from, with or without a name. It is needed where there is mail. Default none.
	From string
	// Timeout bounds the sending of one mail; Config.RequestTimeout does, too. 100 ms to 10 min, default 10 s.
	Timeout time.Duration
	// Templates is a folder whose files replace the texts of mails: message.txt, gap.txt and confirm.txt, of which any may
	// be missing. See the folder templates of this package. Default none.
	Templates string
}

// How a connection to an SMTP server is encrypted.
const (
	// MailTLSStart has the server switch to TLS (STARTTLS) and sends nothing if it cannot.
	MailTLSStart = "starttls"
	// MailTLSImplicit begins with TLS, as on port 465.
	MailTLSImplicit = "implicit"
	// MailTLSIfOffered uses STARTTLS where the server offers it, which whoever is in between can prevent.
	MailTLSIfOffered = "if-offered"
	// MailTLSNone does not encrypt: for a server on this machine.
	MailTLSNone = "none"
)

// MailTLSWords are the values of MailConfig.TLS.
func MailTLSWords() []string {
	return []string{MailTLSStart, MailTLSImplicit, MailTLSIfOffered, MailTLSNone}
}

// DefaultMailConfig returns the defaults: no mail.
func DefaultMailConfig() MailConfig {
	return MailConfig{Port: 587, TLS: MailTLSStart, Timeout: 10 * time.Second}
}

// Enabled says whether there is mail.
func (c *MailConfig) Enabled() bool { return c.Host != "" || c.Command != "" }

// Check returns an error that names every setting that is out of range; nil if all is well. Files are not looked at:
// NewMail does that.
func (c *MailConfig) Check() error {
	known := false
	for _, word := range MailTLSWords() {
		known = known || c.TLS == word
	}
	return errors.Join(checkRules([]rule{
		{c.Host == "" || c.Command == "", "mail: either Host or Command, not both"},
		{!strings.ContainsAny(c.Host, " /\r\n\x00"), "mail: Host must be a name or an address"},
		{within(c.Port, 1, 65_535), "mail: Port must be 1 to 65,535"},
		{known, "mail: TLS must be one of " + strings.Join(MailTLSWords(), ", ")},
		{c.Password == "" || c.User != "", "mail: Password needs User"},
		{c.User == "" || c.TLS != MailTLSNone, "mail: User needs TLS, because the password would be sent in the open"},
		{printable(c.Hello) && !strings.Contains(c.Hello, " "), "mail: Hello must be the name of a host"},
		{printable(c.Command), "mail: Command must be one line"},
		{!c.Enabled() || c.From != "", "mail: From is needed: the address that mails come from"},
		{within(c.Timeout, 100*time.Millisecond, 10*time.Minute), "mail: Timeout must be 100 ms to 10 min"},
	}), c.checkFrom())
}

func (c *MailConfig) checkFrom() error {
	if c.From == "" {
		return nil
	}
	_, err := parseSender(c.From)
	if err != nil {
		return fmt.Errorf("deliver: mail: From: %w", err)
	}
	return nil
}

// parseSender reads the address that a mail comes from, which may have a name.
func parseSender(text string) (*mail.Address, error) {
	if !printable(text) || len(text) > 2*maxAddress {
		return nil, fmt.Errorf("%s cannot be a mail address", quoted(text))
	}
	parsed, err := mail.ParseAddress(text)
	if err != nil || len(parsed.Address) > maxAddress || strings.HasPrefix(parsed.Address, "-") || !printable(parsed.Address) || !printable(parsed.Name) {
		return nil, fmt.Errorf("%s is not a mail address", quoted(text))
	}
	return parsed, nil
}

// tlsConfig is how the server is checked.
func (c *MailConfig) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate authorities of the mail server: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", c.CAFile)
	}
	return config, nil
}
