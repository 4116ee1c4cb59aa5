package config

import (
	"time"

	"github.com/nusku-messaging/nusku/gateway"
	"github.com/nusku-messaging/nusku/gateway/deliver"
)

func linkTable(c *gateway.LinkConfig) []setting {
	return inGroup("Signed URLs and confirmation",
		secret("signing-key", &c.SigningKey, "Sign URLs with this key, at least 16 bytes, the same for all gateways; without it they share one that is in the database."),
		text("public-url", &c.PublicURL, "URL", "Where subscribers reach the gateway, like https://mq.example.com; links in messages to them begin with it."),
		toggle("require-confirmation", &c.RequireConfirmation, "Ask webhook and mail subscribers whether they want the messages, and send nothing before they have said so. Needs public-url."),
	)
}

func mailTable(c *deliver.MailConfig) []setting {
	return inGroup("Mail to subscribers",
		text("mail-host", &c.Host, "HOST", "Send mails by way of this SMTP server; without it and mail-command there are no mail subscribers."),
		number("mail-port", &c.Port, 1, 65_535, "N", "Its port."),
		oneOf("mail-tls", &c.TLS, deliver.MailTLSWords(), "How the connection to it is encrypted: starttls and implicit demand it, if-offered can be prevented by others, none is for a server on this machine."),
		text("mail-ca-file", &c.CAFile, "FILE", "Certificate authorities in PEM that its certificate may come from, in place of the system's."),
		text("mail-user", &c.User, "NAME", "Authenticate as this user."),
		secret("mail-password", &c.Password, "That user's password; better in the environment or the configuration file than on a command line, which others can see."),
		text("mail-hello", &c.Hello, "HOST", "The name by which the gateway introduces itself to the server; without it this machine's."),
		text("mail-command", &c.Command, "COMMAND", "In place of an SMTP server, a program with its arguments that takes a mail as its input, like '/usr/sbin/sendmail -t -oi'; no shell is involved."),
		text("mail-from", &c.From, "ADDRESS", "The address that mails come from, like 'Nusku <nusku@example.com>'."),
		duration("mail-timeout", &c.Timeout, 100*time.Millisecond, 10*time.Minute, "How long sending one mail may take; the bound of all deliveries holds, too."),
		text("mail-templates", &c.Templates, "FOLDER", "A folder with texts of mails in place of the built-in ones: message.txt, gap.txt, confirm.txt, any of them."),
	)
}

// secret is a text that is never shown.
func secret(key string, at *string, help string) setting {
	s := text(key, at, "SECRET", help)
	s.show = func() string {
		if *at == "" {
			return ""
		}
		return "xxxxx"
	}
	return s
}

// MailRefused says why there are no mail subscribers, as gateway.LinkConfig.MailRefused has it; "" if there are.
func (s *Settings) MailRefused() string {
	if s.Mail.Enabled() {
		return ""
	}
	return "this gateway cannot send mail, because neither of its settings mail-host and mail-command is set"
}
