//go:build e2e && linux

package e2e

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/socketflow/socketflow/internal/testenv"
)

// browser is a Chromium without a window, which is controlled over a pair of pipes (--remote-debugging-pipe): JSON, each message ended by a
// zero byte.
type browser struct {
	*program
	commands *os.File
	answers  *bufio.Reader
	last     int // number of the last command
}

func startBrowser(t testing.TB) *browser {
	t.Helper()
	binary := testenv.NeedProgram(t, "chromium", "chromium")
	itsInput, commands, err := os.Pipe()
	require.NoError(t, err)
	answers, itsOutput, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(binary, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe",
		"--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{itsInput, itsOutput} // 3 and 4
	b := &browser{program: start(t, cmd), commands: commands, answers: bufio.NewReader(answers)}
	require.NoError(t, errors.Join(itsInput.Close(), itsOutput.Close(), answers.SetReadDeadline(time.Now().Add(2*time.Minute))))
	t.Cleanup(func() {
		require.NoError(t, errors.Join(commands.Close(), answers.Close()))
	})
	return b
}

// message is a command to the browser, or its answer; the browser also reports events, which have no number.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  map[string]any  `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// call waits for the result of a command (Chrome DevTools Protocol).
func (b *browser) call(session, method string, params map[string]any, result any) {
	b.t.Helper()
	b.last++
	command, err := json.Marshal(message{ID: b.last, Session: session, Method: method, Params: params})
	require.NoError(b.t, err)
	_, err = b.commands.Write(append(command, 0))
	require.NoError(b.t, err)
	for {
		text, err := b.answers.ReadBytes(0)
		require.NoError(b.t, err, method)
		var answer message
		require.NoError(b.t, json.Unmarshal(text[:len(text)-1], &answer))
		if answer.ID == b.last {
			require.Empty(b.t, string(answer.Error), method)
			require.NoError(b.t, json.Unmarshal(answer.Result, result))
			return
		}
	}
}

// screenshot waits until a page shows a text, and writes a picture of it.
func (b *browser) screenshot(page, text, path string, width, height int) {
	b.t.Helper()
	const mostBytes = 300 * 1024 // it is in the repository
	var target struct{ TargetID string }
	var attached struct{ SessionID string }
	var nothing struct{}
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.call(attached.SessionID, "Emulation.setDeviceMetricsOverride",
		map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, &nothing)
	b.call(attached.SessionID, "Page.navigate", map[string]any{"url": page}, &nothing)
	// Text that is not visible yet is not in innerText. Two frames later it is drawn.
	shows := fmt.Sprintf(`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() =>
		done((document.body?.innerText ?? "").replace(/-\s+/g, "-").includes(%q)))))`, text)
	eventually(b.t, time.Minute, page+" shows "+text, func() error {
		var evaluated struct{ Result struct{ Value any } }
		b.call(attached.SessionID, "Runtime.evaluate", map[string]any{"expression": shows, "awaitPromise": true, "returnByValue": true}, &evaluated)
		if evaluated.Result.Value != true {
			return fmt.Errorf("%v", evaluated.Result.Value)
		}
		return nil
	})
	var picture struct{ Data string }
	b.call(attached.SessionID, "Page.captureScreenshot", map[string]any{"format": "png"}, &picture)
	data, err := base64.StdEncoding.DecodeString(picture.Data)
	require.NoError(b.t, err)
	require.Less(b.t, len(data), mostBytes)
	require.NoError(b.t, os.WriteFile(path, data, 0o644))
}
