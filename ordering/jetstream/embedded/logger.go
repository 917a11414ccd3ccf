package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// logger is nats-server's logger: to slog, and the first fatal error, on which
// nats-server expects its process to end, to fatal.
type logger struct {
	to    *slog.Logger
	began time.Time
	once  sync.Once
	err   error
	fatal chan struct{} // closed once err is set
}

func newLogger(to *slog.Logger) *logger {
	if to == nil {
		to = slog.New(slog.DiscardHandler)
	}
	return &logger{to: to, began: time.Now(), fatal: make(chan struct{})}
}

func (l *logger) log(level slog.Level, format string, v []any) {
	ctx := context.Background()
	if !l.to.Enabled(ctx, level) {
		return
	}
	text := fmt.Sprintf(format, v...)
	if time.Since(l.began) < startup && slices.ContainsFunc(starting, func(s string) bool { return strings.HasPrefix(text, s) }) {
		level = slog.LevelDebug
	}
	l.to.Log(ctx, level, text)
}

// Noticef is at debug level: what nats-server notices of itself is not
// news to those who run a node.
func (l *logger) Noticef(format string, v ...any) { l.log(slog.LevelDebug, format, v) }
func (l *logger) Warnf(format string, v ...any)   { l.log(slog.LevelWarn, format, v) }
func (l *logger) Debugf(format string, v ...any)  { l.log(slog.LevelDebug-1, format, v) }
func (l *logger) Tracef(format string, v ...any)  { l.log(slog.LevelDebug-2, format, v) }

// Errorf is of this server's errors, and of clients that ask for what they may not: these
// are told so themselves, and no fault of the node.
func (l *logger) Errorf(format string, v ...any) {
	level := slog.LevelError
	if strings.Contains(format, " Violation - ") {
		level = slog.LevelWarn
	}
	l.log(level, format, v)
}

// routeReports is after how many attempts, about one a second on each of the connections to
// another server, it is said again that the server cannot be reached.
const routeReports = 300

// Servers of a cluster are never started at one instant, and each says of itself that
// the others are not there yet. That is news only if it lasts.
const startup = 10 * time.Second

var starting = []string{"Error trying to connect to route", "Waiting for routing to be established", "JetStream has not established contact"}

func (l *logger) Fatalf(format string, v ...any) {
	l.log(slog.LevelError, format, v)
	l.once.Do(func() {
		l.err = fmt.Errorf(format, v...)
		close(l.fatal)
	})
}
