package pgserver

import (
	"bytes"
	"strings"
	"sync"

	"github.com/rs/zerolog"
)

// logPrefix makes each of the server's log lines carry its SQLSTATE, process id and database ahead of the text.
const logPrefix = "%e|%p|%d|"

const (
	maxLogLine  = 8 << 10 // bytes of one line that are kept
	maxLogLines = 20      // lines kept to explain a failed start
)

// serverLog takes the server's stderr, passes its lines on as log events, and keeps the last of them. It always takes
// all: a server whose log is not read would stand still.
type serverLog struct {
	log zerolog.Logger

	mu   sync.Mutex
	part []byte
	last []string
}

func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		piece := p
		if end >= 0 {
			piece = p[:end]
		}
		l.part = append(l.part, piece[:min(len(piece), maxLogLine-len(l.part))]...)
		if end < 0 {
			break
		}
		l.line(string(l.part))
		l.part = l.part[:0]
		p = p[end+1:]
	}
	return n, nil
}

func (l *serverLog) line(line string) {
	if len(l.last) == maxLogLines {
		l.last = append(l.last[:0], l.last[1:]...)
	}
	text := strings.TrimSpace(line)
	fields := strings.SplitN(line, "|", 4)
	if len(fields) < 4 || len(fields[0]) != len("00000") {
		l.last = append(l.last, text)
		l.log.Debug().Msg(text) // a continued line, or one from before the settings were read
		return
	}
	text = fields[3]
	l.last = append(l.last, text)
	severity, message, _ := strings.Cut(text, ":")
	event := l.log.WithLevel(levelOf(severity, fields[0])).Str("sqlstate", fields[0]).Str("server_pid", fields[1])
	if fields[2] != "" {
		event = event.Str("database", fields[2])
	}
	event.Str("severity", severity).Msg(strings.TrimSpace(message))
}

// levelOf maps the server's severities. Errors of statements reach whoever sent them, who knows what they mean, so here
// they are detail; so are logins to a missing database (class 3D) and the end of sessions when the server stops (57).
func levelOf(severity, sqlstate string) zerolog.Level {
	switch {
	case severity == "PANIC":
		return zerolog.ErrorLevel
	case severity == "FATAL" && !strings.HasPrefix(sqlstate, "57") && !strings.HasPrefix(sqlstate, "3D"), severity == "WARNING":
		return zerolog.WarnLevel
	}
	return zerolog.DebugLevel
}

// tail returns the last lines, to explain why the server ended.
func (l *serverLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last, "\n")
}
