package deliver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// smtpServer is an SMTP server on loopback. It keeps the mails that it takes.
type smtpServer struct {
	*smtp.Server
	port   int
	caFile string

	user, password string
	// rcpt and data, if set, answer RCPT and DATA.
	rcpt func(to string) error
	data func() error
	// hang makes MAIL wait for ever, that is until it is closed.
	hang chan struct{}

	mails chan takenMail
}

// takenMail is a mail that the server has taken.
type takenMail struct {
	from   string
	to     []string
	secure bool
	user   string
	raw    string
	*mail.Message
}

// newSMTPServer starts a server; change, if it is not nil, changes it before.
func newSMTPServer(t *testing.T, implicit bool, change func(*smtpServer)) *smtpServer {
	t.Helper()
	s := &smtpServer{mails: make(chan takenMail, 10)}
	s.Server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &smtpSession{server: s, conn: c}, nil
	}))
	s.ErrorLog = log.New(io.Discard, "", 0)
	s.Domain = "localhost"
	var config *tls.Config
	config, s.caFile = testCertificate(t)
	s.TLSConfig = config
	if change != nil {
		change(s)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	if implicit {
		listener = tls.NewListener(listener, config)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(listener); err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("the SMTP server: %v", err)
		}
	}()
	t.Cleanup(func() {
		if s.hang != nil {
			close(s.hang)
		}
		_ = s.Close()
		_ = listener.Close() // or Serve, if it begins only now, waits for clients without end
		<-ended
	})
	return s
}

// config is that of a client of the server.
func (s *smtpServer) config() MailConfig {
	c := DefaultMailConfig()
	c.Host, c.Port, c.CAFile, c.From = "127.0.0.1", s.port, s.caFile, "Nusku <nusku@example.com>"
	return c
}

type smtpSession struct {
	server *smtpServer
	conn   *smtp.Conn
	mail   takenMail
}

func (s *smtpSession) AuthMechanisms() []string {
	if s.server.user == "" {
		return nil
	}
	return []string{sasl.Plain}
}

func (s *smtpSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.server.user || password != s.server.password {
			return smtp.ErrAuthFailed
		}
		s.mail.user = user
		return nil
	}), nil
}

func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.hang != nil {
		<-s.server.hang
	}
	if s.server.user != "" && s.mail.user == "" {
		return smtp.ErrAuthRequired
	}
	s.mail.from = from
	return nil
}

func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.server.rcpt != nil {
		if err := s.server.rcpt(to); err != nil {
			return err
		}
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *smtpSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.server.data != nil {
		if err := s.server.data(); err != nil {
			return err
		}
	}
	m := s.mail
	_, m.secure = s.conn.TLSConnectionState()
	m.raw = string(raw)
	if m.Message, err = readMail(raw); err != nil {
		return err
	}
	s.server.mails <- m
	return nil
}

func (s *smtpSession) Reset()        { s.mail.from, s.mail.to = "", nil }
func (s *smtpSession) Logout() error { return nil }

// testCertificate makes a certificate for 127.0.0.1 and a file with it, which serves as its own authority.
func testCertificate(t *testing.T) (config *tls.Config, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}
