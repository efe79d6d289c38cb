package redact

import "strings"

// meaning is what a word of a name can mean, a set.
type meaning uint16

const (
	secret        meaning = 1 << iota // wherever it is
	secretLast                        // as the last word
	secretAlone                       // as the only word of a part of a name: too common elsewhere
	qualifiesKey                      // secret before "key"
	key                               //
	qualifiesCode                     // secret before "code"
	code                              //
	session                           // secret before "id"
	identifier                        // of a thing: its value is often random, and no secret
	saml                              // secret before a message of SAML
	message                           //
	describes                         // as the last word: what the value says about a secret is none
	guards                            // what follows it, if it is random, lets its bearer in
)

// words are the words that names are made of, in lower case, without digits at the end.
var words = func() map[string]meaning {
	all := make(map[string]meaning)
	for _, list := range [...]struct {
		meaning
		words string
	}{
		{secret, "token secret secrets password passwords passwd passwrd passwort pwd psw pswd pass passphrase passcode pincode " +
			"signature sig hmac credential credentials creds jwt jws assertion verifier bearer otp totp cvv cvc " +
			"csrf xsrf sessid phpsessid jsessionid sid apikey psk samlart " +
			"pw cred pword pswrd kennwort contrasena senha mdp dbpass dbpw mypass rootpass userpass userpw adminpass smtppass ftppass mailpass"},
		{secretLast, "auth authorization authentication session sess cookie cookies oauth"},
		{secretAlone, "key code sign pin jwe sas ticket"},
		{qualifiesKey, "api secret access private auth account app application client consumer encryption signing sign shared master " +
			"session storage service license licence ssh subscription admin server user function functions deploy write stream security " +
			"hmac webhook rest dev developer priv aes root ingest integration"},
		{key, "key keys"},
		{qualifiesCode, "auth authorization verification verify reset recovery otp mfa invite invitation device access login security " +
			"confirmation backup activation sms pass user pairing unlock 2fa tfa"},
		{code, "code codes"},
		{session, "session sess"},
		{identifier, "id ids uid uuid guid sha md digest checksum etag commit rev revision hash integrity traceid spanid requestid"},
		{saml, "saml"},
		{message, "response request art"},
		{describes, "type types expires expiry expiration ttl seconds minutes length size count limit format method algorithm alg " +
			"version policy strength enabled required status lifetime duration endpoint name date time timestamp at in field param " +
			"parameter header url uri"},
		{guards, "reset token webhook webhooks webhookb hook hooks invite invites invitation invitations activate activation confirm " +
			"confirmation verify verification unsubscribe magic magiclink recover recovery password passwords key apikey otp"},
	} {
		for _, word := range strings.Fields(list.words) {
			all[word] |= list.meaning
		}
	}
	return all
}()

// lengths has a bit for each length of the words that begin and end with two letters.
var lengths = func() (set [1 << 10]uint32) {
	for word := range words {
		set[endsOf([]byte(word))] |= 1 << len(word)
	}
	return set
}()

// endsOf is the index in lengths of a word that is not empty.
func endsOf(word []byte) int { return int(word[0]&31)<<5 | int(word[len(word)-1]&31) }

// longestWord is the number of bytes of a word that are compared; longer ones are compared by their end.
const longestWord = 31

// meaningOf looks up a word in lower case. Words that are written as one are found by their ends.
func meaningOf(word []byte) meaning {
	for len(word) > 1 && isDigit(word[len(word)-1]) {
		word = word[:len(word)-1]
	}
	if len(word) == 0 {
		return 0
	}
	if lengths[endsOf(word)]>>len(word)&1 != 0 {
		if m, ok := words[string(word)]; ok {
			return m
		}
	}
	if len(word) < shortestGlued {
		return 0
	}
	return meaningOfGlued(word)
}

const shortestGlued = 6

// glued are words that may be the end of a longer one, as in accesstoken.
var glued = [...]string{"token", "secret", "password", "passwd", "pwd", "signature", "sessid", "sessionid", "passphrase", "credential", "apikey"}

// within are words that may be anywhere in a longer one, as in passwordagain.
var within = [...]string{"password", "passwd", "accesskey", "sessionid", "samlre"}

func meaningOfGlued(word []byte) meaning {
	for _, end := range glued {
		if hasSuffix(word, end) {
			return secret
		}
	}
	for i, end := range [...]string{"key", "code", "id"} {
		if !hasSuffix(word, end) {
			continue
		}
		before := words[string(word[:len(word)-len(end)])]
		if before&[...]meaning{qualifiesKey, qualifiesCode, session}[i] != 0 {
			return secret
		}
	}
	for _, part := range within {
		if contains(word, part) {
			return secret
		}
	}
	return 0
}

func hasSuffix(b []byte, end string) bool {
	return len(b) >= len(end) && string(b[len(b)-len(end):]) == end
}

func contains(b []byte, part string) bool {
	for ; len(b) >= len(part); b = b[1:] {
		if string(b[:len(part)]) == part {
			return true
		}
	}
	return false
}
