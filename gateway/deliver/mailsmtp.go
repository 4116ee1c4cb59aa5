package deliver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// smtpTransport sends mails by way of an SMTP server, each by a connection of its own.
type smtpTransport struct {
	cfg     MailConfig
	tls     *tls.Config
	options []gomail.Option
}

func newSMTP(cfg MailConfig) (*smtpTransport, error) {
	config, err := cfg.tlsConfig()
	if err != nil {
		return nil, err
	}
	t := &smtpTransport{cfg: cfg, tls: config}
	t.options = []gomail.Option{
		gomail.WithPort(cfg.Port), gomail.WithTLSConfig(config), gomail.WithTimeout(cfg.Timeout), gomail.WithoutNoop(),
	}
	switch cfg.TLS {
	case MailTLSImplicit:
		t.options = append(t.options, gomail.WithSSL())
	case MailTLSStart:
		t.options = append(t.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case MailTLSIfOffered:
		t.options = append(t.options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default:
		t.options = append(t.options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if cfg.User != "" {
		// The mechanisms in which the password is readable refuse to work on a connection that is not encrypted.
		t.options = append(t.options, gomail.WithUsername(cfg.User), gomail.WithPassword(cfg.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthSCRAMSHA1,
				gomail.SMTPAuthPlain, gomail.SMTPAuthLogin, gomail.SMTPAuthCramMD5))
	}
	if cfg.Hello != "" {
		t.options = append(t.options, gomail.WithHELO(cfg.Hello))
	}
	// So that what the library refuses shows at the start.
	if _, err := gomail.NewClient(cfg.Host, t.options...); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *smtpTransport) name() string {
	return "smtp://" + net.JoinHostPort(t.cfg.Host, strconv.Itoa(t.cfg.Port))
}

// send connects, sends one mail and hangs up.
func (t *smtpTransport) send(ctx context.Context, m *gomail.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Timeout)
	defer cancel()
	dial := &smtpDial{ctx: ctx}
	if t.cfg.TLS == MailTLSImplicit {
		dial.tls = t.tls
	}
	defer dial.close()
	client, err := gomail.NewClient(t.cfg.Host, append(t.options[:len(t.options):len(t.options)], gomail.WithDialContextFunc(dial.dial))...)
	if err == nil {
		err = client.DialAndSendWithContext(ctx, m)
	}
	if err == nil || m.IsDelivered() { // what goes wrong after the server has taken the mail does not matter
		return nil
	}
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return smtpFailure(err)
}

// smtpFailure judges an error of a session: what the server says about this mail for good is final, and all else is worth
// another attempt.
func smtpFailure(err error) *Failure {
	if errors.Is(err, context.DeadlineExceeded) {
		return &Failure{Reason: "the mail server did not answer in time", Down: true, Cause: err}
	}
	var refusal *gomail.SendError
	if !errors.As(err, &refusal) || refusal.ErrorCode() == 0 {
		return &Failure{Reason: "the mail server could not be used", Down: true, Cause: err}
	}
	code := refusal.ErrorCode()
	f := &Failure{Reason: fmt.Sprintf("the mail server answered %d", code), Cause: err}
	f.Down = code == 421 // it is about to close the connection, whatever the mail
	f.Final = code >= 500
	return f
}

// smtpDial connects, and cuts the connection once its context ends: the library minds contexts only while it connects,
// and does not close what it cannot use.
type smtpDial struct {
	ctx  context.Context
	tls  *tls.Config // nil unless the connection begins with TLS
	conn net.Conn
	stop func() bool
}

func (d *smtpDial) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.conn = conn
	d.stop = context.AfterFunc(d.ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)); _ = conn.Close() })
	if d.tls == nil {
		return conn, nil
	}
	secure := tls.Client(conn, d.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secure, nil
}

func (d *smtpDial) close() {
	if d.conn != nil {
		d.stop()
		_ = d.conn.Close() // it is closed already if all went well
	}
}
