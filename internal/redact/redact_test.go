package redact

import (
	"strings"
	"testing"
)

// Secrets of the forms that are issued, none of them valid. They are put together here, because a scanner of repositories would find them.
var (
	jwt      = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"
	github   = "ghp" + "_16C7e42F292c6912E7710c838347Ae178B4a"
	aws      = "AKIA" + "IOSFODNN7EXAMPLE"
	stripe   = "sk_live" + "_4eC39HqLyjWDarjtT1zdp7dc"
	telegram = "110201543" + ":AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
	random   = "q7Zt3VbX9mK2pLw8RfYc5NjD"
	uuid     = "0b7b3d9c-7a6e-4f7e-9d53-3e1f0a9c2b11"
)

func TestSecretsOfQueries(t *testing.T) {
	for query, want := range map[string]string{
		"":                                   "",
		"q=OpenTelemetry":                    "q=OpenTelemetry",
		"q=OpenTelemetry&sig=abc":            "q=OpenTelemetry&sig=REDACTED",
		"sig=abc&q=1":                        "sig=REDACTED&q=1",
		"sig=":                               "sig=REDACTED",
		"sig":                                "sig",
		"Signature=a=b=c&d=e":                "Signature=REDACTED&d=e",
		"pass%77ord=a":                       "pass%77ord=REDACTED",
		"%70%57%44=a":                        "%70%57%44=REDACTED",
		"token%3Da":                          "token%3DREDACTED",
		"%20token=a":                         "%20token=REDACTED",
		"token%20=a":                         "token%20=REDACTED",
		"token+=a&b=c":                       "token+=REDACTED&b=c",
		"token%09%0a=a":                      "token%09%0a=REDACTED",
		"user[password]=a&user[name]=b":      "user[password]=REDACTED&user[name]=b",
		"password[]=a":                       "password[]=REDACTED",
		"user%5Bpassword%5D=a":               "user%5Bpassword%5D=REDACTED",
		"a=1;token=b;c=d&e=f":                "a=1;token=REDACTED&e=f",
		"a=token=b":                          "a=token=REDACTED",
		"&&token=a&&":                        "&&token=REDACTED&&",
		"%zztoken=a":                         "%zztoken=REDACTED",
		"a=%":                                "a=%",
		"a=dG9rZW4=&b=c":                     "a=dG9rZW4=&b=c",
		"url=https://h/?code=a&x=b":          "url=https://h/?code=REDACTED&x=b",
		"url=https%3A%2F%2Fh%3Fcode%3Da&x=b": "url=https%3A%2F%2Fh%3Fcode%3DREDACTED&x=b",
		"u=https%253A%252F%252Fh%253Ftoken%253Da&x=b": "u=https%253A%252F%252Fh%253Ftoken%253DREDACTED&x=b",
		"u=%25252Fcb%25253Ftoken%25253Da":             "u=%25252Fcb%25253Ftoken%25253DREDACTED",
		"next=/cb%23access_token=a":                   "next=/cb%23access_token=REDACTED",

		"privkey=a&aes_key=b&integration_key=c&key_ring=d":  "privkey=REDACTED&aes_key=REDACTED&integration_key=REDACTED&key_ring=d",
		"2fa_code=1&pairing_code=2&unlockCode=3&zip_code=4": "2fa_code=REDACTED&pairing_code=REDACTED&unlockCode=REDACTED&zip_code=4",
		"sess=a&sess_count=2":                               "sess=REDACTED&sess_count=2",

		"u=http://user:pw@host/x":                  "u=http://REDACTED:REDACTED@host/x",
		"u=http://token@host":                      "u=http://REDACTED:REDACTED@host",
		"u=http%3A%2F%2Fuser%3Apw%40host%2Fx&y=1":  "u=http%3A%2F%2FREDACTED:REDACTED@host%2Fx&y=1",
		"u=http%253A%252F%252Fuser%253Apw%2540h":   "u=http%253A%252F%252FREDACTED:REDACTED@h",
		"u=http://user:p@ss@host":                  "u=http://REDACTED:REDACTED@host",
		"u=http://user:p/w@host":                   "u=http://REDACTED:REDACTED@host",
		"u=//user:pw@host":                         "u=//REDACTED:REDACTED@host",
		"//user:pw@host":                           "//REDACTED:REDACTED@host",
		"dsn=postgres://app:hunter2@db:5432/x":     "dsn=postgres://REDACTED:REDACTED@db:5432/x",
		"u=http://host:8080/a@2x.png":              "u=http://host:8080/a@2x.png",
		"u=http://host/a@2x.png":                   "u=http://host/a@2x.png",
		"mail=a@b.example":                         "mail=a@b.example",
		"a=http://x&b=y@z":                         "a=http://x&b=y@z",
		`q={"password":"x","a":1}&b=c`:             `q={"password":"REDACTED","a":1}&b=c`,
		`q={"a":1,"token" : "x\"y", "b":"c"}`:      `q={"a":1,"token" : "REDACTED", "b":"c"}`,
		`q={\"token\":\"x\",\"b\":1}`:              `q={\"token\":\"REDACTED\",\"b\":1}`,
		`q={"pin":1,"clientSecret":42,"b":2}`:      `q={"pin":1,"clientSecret":REDACTED,"b":2}`,
		`q={"password":{"$ne":"x"}}&b=c`:           `q={"password":REDACTED&b=c`,
		"q=%7B%22token%22%3A%22x%22%2C%22b%22%3A1": "q=%7B%22token%22%3A%22REDACTED%22%2C%22b%22%3A1",
		"q=%257B%2522token%2522%253A%2522x%2522":   "q=%257B%2522token%2522%253A%2522REDACTED%2522",
		"h=Authorization:+Bearer+abc&x=1":          "h=Authorization:+REDACTED&x=1",
		`k={"key":"name","value":"x","code":404}`:  `k={"key":"name","value":"x","code":404}`,
		"sort=key:asc":                             "sort=key:asc",
		"at=12:30:15":                              "at=12:30:15",

		"a=" + jwt + "&b=c":       "a=REDACTED&b=c",
		"a=" + github:             "a=REDACTED",
		"a=" + aws + ",b":         "a=REDACTED,b",
		"a=x/" + stripe:           "a=x/REDACTED",
		"a=" + random:             "a=REDACTED",
		random:                    "REDACTED",
		"h=Bearer%20" + uuid[:30]: "h=Bearer%20REDACTED",
		"a=" + telegram:           "a=110201543:REDACTED",
		"id=" + random:            "id=" + random,
		"trace_id=" + random:      "trace_id=" + random,
		"id=" + github:            "id=REDACTED",
		"session_id=" + random:    "session_id=REDACTED",
		"a=" + uuid:               "a=" + uuid,
		"u=https%3A%2F%2Fh%2Fservices%2FT00000000%2FB00000000%2FXXXXXXXXXXXXXXXXXXXXXXXX&a=b": "u=https%3A%2F%2Fh%2Fservices%2FT00000000%2FB00000000%2FREDACTED&a=b",
		"next=/reset/a1b2c3d4e5f6g7&x=a1b2c3d4e5f6g7":                                         "next=/reset/REDACTED&x=a1b2c3d4e5f6g7",
		"next=%2Fhooks%2F" + uuid:                                                             "next=%2Fhooks%2FREDACTED",
		"invite=" + uuid + "&b=1":                                                             "invite=REDACTED&b=1",
		"reset=a1b2c3d4e5f6g7&x=1":                                                            "reset=REDACTED&x=1",
		"x=a1b2c3d4e5f6g7":                                                                    "x=a1b2c3d4e5f6g7",
		"id=" + uuid + "&a=" + aws:                                                            "id=" + uuid + "&a=REDACTED",
		"a=getUserByIdAndNameAndAge":                                                          "a=getUserByIdAndNameAndAge",
		"from=2026-11-28T03:30:00.000Z&to=20261128T033000Z":                                   "from=2026-11-28T03:30:00.000Z&to=20261128T033000Z",
		"title=a-long-article-about-nothing-in-2026":                                          "title=a-long-article-about-nothing-in-2026",
		"ll=48.858370,2.294481&zoom=15":                                                       "ll=48.858370,2.294481&zoom=15",

		`q={"\u0070assword":"x"}`:                        `q={"\u0070assword":"REDACTED"}`,
		`q={"pass\u0077ord":"x\u0022y","b":1}`:           `q={"pass\u0077ord":"REDACTED","b":1}`,
		"q=%7B%22%5Cu0070assword%22%3A%22x%22%7D":        "q=%7B%22%5Cu0070assword%22%3A%22REDACTED%22%7D",
		`q={"u":"http://h/\u003fa=1\u0026token=x"}`:      `q={"u":"http://h/\u003fa=1\u0026token=REDACTED`,
		"%u0070assword=x":                                "%u0070assword=REDACTED",
		"%25u0070assword=x":                              "%25u0070assword=REDACTED",
		`q=C:\users\u00`:                                 `q=C:\users\u00`,
		"to\u00adken=x":                                  "to\u00adken=REDACTED",
		"to%C2%ADken=x":                                  "to%C2%ADken=REDACTED",
		"to%E2%80%8Bken=x":                               "to%E2%80%8Bken=REDACTED",
		`q={"to\u00adken":"x"}`:                          `q={"to\u00adken":"REDACTED"}`,
		"\uff50\uff41ssword=x":                           "\uff50\uff41ssword=REDACTED",
		"%EF%BC%B4oken=x":                                "%EF%BC%B4oken=REDACTED",
		`q={"\uff50w":"x"}`:                              `q={"\uff50w":"REDACTED"}`,
		"x=Bearer+abc&y=1":                               "x=Bearer+REDACTED&y=1",
		"x=bearer%20a.b-c&y=1":                           "x=bearer%20REDACTED&y=1",
		"x=Basic%20dTpw&y=1":                             "x=Basic%20REDACTED&y=1", // u:p
		"x=basic+dXNlcjpwdw%3D%3D":                       "x=basic+REDACTED",
		"x=basic+dXNlcjpwdw==":                           "x=basic+REDACTED",
		"x=now+Bearer+a1b2c3":                            "x=now+Bearer+REDACTED",
		"x=Negotiate%20YIIabc":                           "x=Negotiate%20REDACTED",
		"x=Basic+training":                               "x=Basic+training",
		"x=Basic+Plan&y=1":                               "x=Basic+Plan&y=1",
		"x=bearer+of+bad+news":                           "x=bearer+of+bad+news",
		"x=the+ring+bearer+frodo":                        "x=the+ring+bearer+frodo",
		"x=Basic&y=2":                                    "x=Basic&y=2",
		"q=<password>x</password><a>b</a>":               "q=<password>REDACTED</password><a>b</a>",
		"q=%3Cns:Password%3Ex%3C/ns:Password%3E%3Ca%3Eb": "q=%3Cns:Password%3EREDACTED%3C/ns:Password%3E%3Ca%3Eb",
		"q=<name>x</name>":                               "q=<name>x</name>",
		"q=1>2":                                          "q=1>2",
		"sv=2022&sr=b&sig=a%2Bb%3D&se=2026":              "sv=2022&sr=b&sig=REDACTED&se=2026",
		"X-Amz-Credential=a%2F2026&X-Amz-Date=1&X-Amz-Security-Token=b&X-Amz-Signature=c": "X-Amz-Credential=REDACTED&X-Amz-Date=1&X-Amz-Security-Token=REDACTED&X-Amz-Signature=REDACTED",
	} {
		if got := string((*Rules)(nil).AppendQuery(nil, []byte(query))); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", query, got, want)
		}
	}
}

func TestSecretsOfPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/a/b":                       "/a/b",
		"/token=a":                   "/token=REDACTED",
		"/a;jsessionid=x":            "/a;jsessionid=REDACTED",
		"/a;JSESSIONID=x/b;v=1/c":    "/a;JSESSIONID=REDACTED/b;v=1/c",
		"/a;v=1;sid=x;w=2/b":         "/a;v=1;sid=REDACTED/b",
		"/a;sid/b=c":                 "/a;sid/b=c",
		"/a%3Bjsessionid%3Dx":        "/a%3Bjsessionid%3DREDACTED",
		"/redirect/h%3Ftoken%3Da/b?": "/redirect/h%3Ftoken%3DREDACTED/b?",

		"/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX": "/services/T00000000/B00000000/REDACTED",
		"/services/" + random: "/services/" + random,
		"/api/webhooks/123456789012345678/" + random + "-" + random:               "/api/webhooks/123456789012345678/REDACTED",
		"/webhookb2/" + uuid + "@" + uuid + "/IncomingWebhook/" + random:          "/webhookb2/REDACTED@REDACTED/IncomingWebhook/REDACTED",
		"/hooks/xen8k3tr6tyrfnrnr4u3ihbf7o":                                       "/hooks/REDACTED",
		"/bot" + telegram + "/sendMessage":                                        "/bot110201543:REDACTED/sendMessage",
		"/bot" + strings.Replace(telegram, ":", "%3A", 1) + "/getMe":              "/bot110201543%3AREDACTED/getMe",
		"/password/reset/" + random:                                               "/password/reset/REDACTED",
		"/users/42/reset_password/" + uuid + "/edit":                              "/users/42/reset_password/REDACTED/edit",
		"/resetPassword/a1b2c3d4e5f6g7":                                           "/resetPassword/REDACTED",
		"/invite/" + random + "?":                                                 "/invite/REDACTED?",
		"/v1/token/" + random:                                                     "/v1/token/REDACTED",
		"/confirm-the-registration-and-reset-everything/507f1f77bcf86cd799439011": "/confirm-the-registration-and-reset-everything/REDACTED",
		"/invitations/aBcDeFgHiJkLmNoP/accept":                                    "/invitations/REDACTED/accept",
		"/v1/secret/data/app1-config2":                                            "/v1/secret/data/app1-config2",
		"/api/tokens/v1/list":                                                     "/api/tokens/v1/list",
		"/webhook/subscription-updated":                                           "/webhook/subscription-updated",
		"/files/" + github + "/x":                                                 "/files/REDACTED/x",
		"/u/" + jwt:                                                               "/u/REDACTED",
		"/proxy/http://user:pw@host/x":                                            "/proxy/http://REDACTED:REDACTED@host/x",
		"/proxy/http:/user:pw@host/x":                                             "/proxy/http:/REDACTED:REDACTED@host/x",

		"//user:pw@host/x":          "//REDACTED:REDACTED@host/x",
		"/go//user:pw@host":         "/go//REDACTED:REDACTED@host",
		"/go/%2Fuser%3Apw%40host/x": "/go/%2FREDACTED:REDACTED@host/x",
		"////user:pw@host":          "////REDACTED:REDACTED@host",

		"/a//b@c":        "/a//b@c",
		"/a//b:8080/@c":  "/a//b:8080/@c",
		"/@user//post":   "/@user//post",
		"/users/" + uuid: "/users/" + uuid,
		"/items/507f1f77bcf86cd799439011/reviews":              "/items/507f1f77bcf86cd799439011/reviews",
		"/v2/nginx/blobs/sha256:" + strings.Repeat("0a1b", 16): "/v2/nginx/blobs/sha256:" + strings.Repeat("0a1b", 16),
		"/mod/@v/v1.0.0-20261128033000-0123456789ab.zip":       "/mod/@v/v1.0.0-20261128033000-0123456789ab.zip",
		"/img/a@2x.png": "/img/a@2x.png",
	} {
		if got := string((*Rules)(nil).AppendPath(nil, []byte(path))); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", path, got, want)
		}
	}
}

// secretNames are names that programs use.
var secretNames = strings.Fields(`
	accessToken refreshToken clientSecret private_token auth_token api_token oauth_token session_token csrf_token reset_password_token new_password pass
	secret_key access_key X-Plex-Token x-oss-signature q-signature temp_url_sig PHPSESSID SAMLResponse oauth_signature
	X-Amz-Signature X-Amz-Credential X-Amz-Security-Token sig X-Goog-Signature X-Goog-Credential AWSAccessKeyId Signature OSSAccessKeyId
	access_token access-token id_token id_token_hint token jwt client_assertion code code_verifier api-key apikey apiKey x-api-key X-API-Key key secret
	client-secret password passwd pwd auth authorization session sessionid session-id SessionId ASP.NET_SessionId connect.sid sid jsessionid
	ASPSESSIONIDQQRTSB cftoken accesstoken authtoken userpassword passwordConfirmation password2 j_password passwordAgain oldPassword
	subscription-key licenseKey stream_key authKey masterkey appkey secret_id SharedAccessSignature hub.verify_token authenticity_token
	csrfmiddlewaretoken __RequestVerificationToken otp totp_code resetCode authcode credentials sign pin XCSRFToken user.password oauth2Token
	user[0][token] TOKEN pw db_pw userPw cred user.cred dbpass pword`)

func TestNamesOfSecrets(t *testing.T) {
	for _, name := range secretNames {
		if got, want := string((*Rules)(nil).AppendQuery(nil, []byte(name+"=x y"))), name+"=REDACTED"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNamesThatAreNone(t *testing.T) {
	for _, name := range strings.Fields(`
		q page sort limit offset cursor lang utm_source tokenizer secretary monkey turkey keyword keywords hotkey sort_key partition_key cache_key
		idempotency_key public_key zip_code country_code error_code postcode keycode passenger passport author design sigh sighting assign signup
		token_type tokenType expires_in access_token_expires_in_seconds token_expires_at SignatureMethod oauth_signature_method SignatureVersion
		X-Amz-Algorithm X-Amz-Date X-Amz-Expires X-Amz-SignedHeaders X-Goog-SignedHeaders Expires Policy Key-Pair-Id code_challenge client_id
		user_id deviceId grant_type response_type redirect_uri scope state session_state sessionType max_tokens compass bypass
		keyboard authority authored passive pincer credit credits creditor power pwa pws ipw bearers basic signal designer pinned
		passage donkey incredible cookies_enabled encoder recode sidebar inside tokenize overpass trespass`) {
		query := name + "=x"
		if got := string((*Rules)(nil).AppendQuery(nil, []byte(query))); got != query {
			t.Errorf("%s becomes %s", query, got)
		}
	}
}

func TestConfiguredNames(t *testing.T) {
	rules := New([]string{"X-Tenant", "blätt_er"}, []string{"page-token", "code", "sig"})
	for query, want := range map[string]string{
		"xTenant=a&x_tenant=b":            "xTenant=REDACTED&x_tenant=REDACTED",
		"bl%C3%A4tter=a":                  "bl%C3%A4tter=REDACTED",
		"pageToken=a&code=b&x=1":          "pageToken=a&code=b&x=1",
		"code=" + github + "&key=x":       "code=" + github + "&key=REDACTED",
		"url=http://h?code=a%26token%3Db": "url=http://h?code=a%26token%3DREDACTED",
		"sig=a":                           "sig=a",
	} {
		if got := string(rules.AppendQuery(nil, []byte(query))); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", query, got, want)
		}
	}
}

func TestTextsAndURLs(t *testing.T) {
	rules := (*Rules)(nil)
	for text, want := range map[string]string{
		"text/html; charset=utf-8":                       "text/html; charset=utf-8",
		"4bf92f3577b34da6a3ce929d0e0e4736":               "4bf92f3577b34da6a3ce929d0e0e4736",
		"a=1; token=b; c=d":                              "a=1; token=REDACTED; c=d",
		"Bearer " + random:                               "Bearer REDACTED",
		"Bearer abc":                                     "Bearer REDACTED",
		`Bearer realm="x", error="invalid_token"`:        `Bearer realm="x", error="invalid_token"`,
		`Basic realm="x"`:                                `Basic realm="x"`,
		"see " + github + " for more":                    "see REDACTED for more",
		"<https://h/x?token=a>; rel=next":                "<https://h/x?token=REDACTED; rel=next",
		"ftp://u:p@h/":                                   "ftp://REDACTED:REDACTED@h/",
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) A/20": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) A/20",
	} {
		if got := string(rules.AppendText(nil, []byte(text))); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", text, got, want)
		}
	}
	for url, want := range map[string]string{
		"https://u:p@h/reset/" + random + "?a=1&token=b": "https://REDACTED:REDACTED@h/reset/REDACTED?a=1&token=REDACTED",
		"/cb?code=a#access_token=b":                      "/cb?code=REDACTED",
	} {
		if got := string(rules.AppendURL(nil, []byte(url))); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", url, got, want)
		}
	}
	for url, want := range map[string]string{
		"https://h/a?b=c": "https://h/a?REDACTED",
		"https://h/a#b":   "https://h/a#REDACTED",
		"https://u:p@h/a": "https://REDACTED:REDACTED@h/a",
		"https://h/a?":    "https://h/a?REDACTED",
	} {
		if got := string(rules.AppendReferrer(nil, []byte(url))); got != want {
			t.Errorf("%s\nbecomes %s\nwant    %s", url, got, want)
		}
	}
}
