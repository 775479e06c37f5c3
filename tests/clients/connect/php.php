<?php
// Every RPC by way of PHP's curl extension, as a PHP page with no gRPC library would do it. Hashes are compared with
// PHP's own hash_hmac, the function that the vendor's document uses. Started by php.sh.

declare(strict_types=1);

const LIVEAUTH = 'countersign.v1.LiveAuthService';
const HUB = 'countersign.v1.HubTokenService';
const DOMAIN = 'jobs.example.com';
const NOWHERE = 'nobody.example.org';
const SECRET = 'whatissixtimesnine';
const APP = 'acme-contacts';
const USER = 'jodonnell@broadsoft.com';
const OTHER_USER = 'somebody.else@broadsoft.com';
const DOCUMENT_HASH = '6b1a62617de259688c021c6d98efaca588c772f9ee8ea3092fb3d5323e66ba29';
const PAYLOAD = "ya29.an-oauth-token \x00\xff";

/** An error as Connect tells it. */
final class Refused extends Exception
{
    public function __construct(public string $kind, public string $reason, public int $status, string $text)
    {
        parent::__construct("HTTP $status $kind $reason: $text");
    }
}

final class Failed extends Exception
{
}

function equal(mixed $got, mixed $want, string $what): void
{
    if ($got !== $want) {
        throw new Failed("$what: want " . json_encode($want) . ', got ' . json_encode($got));
    }
}

/** The reason in a google.rpc.ErrorInfo: field 1, a string shorter than 128 bytes. */
function reason(array $error): string
{
    foreach ($error['details'] ?? [] as $detail) {
        if ($detail['type'] === 'google.rpc.ErrorInfo') {
            $bytes = (string) base64_decode($detail['value'], true);
            equal($bytes[0], "\x0a", 'first byte of the ErrorInfo');
            return substr($bytes, 2, ord($bytes[1]));
        }
    }
    return '';
}

final class Client
{
    private int $steps = 0;
    private CurlHandle $curl;
    private string $base;

    public function __construct(private string $target, private string $title, private int $version)
    {
        // One handle, as a page that makes several calls would have.
        $this->curl = curl_init();
        $this->base = str_starts_with($target, 'unix:') ? 'http://localhost' : "http://$target";
    }

    private function call(string $service, string $method, array $request): array
    {
        curl_setopt_array($this->curl, [
            CURLOPT_URL => "$this->base/$service/$method",
            CURLOPT_HTTP_VERSION => $this->version,
            CURLOPT_HTTPHEADER => ['Content-Type: application/json'],
            CURLOPT_POSTFIELDS => json_encode((object) $request, JSON_THROW_ON_ERROR),
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => 20,
            CURLOPT_PROXY => '',
            // libcurl 7.88 fails on the second request of an HTTP/2 connection begun with prior knowledge
            // (curl pull request 10643); over HTTP/1.1 the connection is kept.
            CURLOPT_FRESH_CONNECT => $this->version !== CURL_HTTP_VERSION_1_1,
        ]);
        if (str_starts_with($this->target, 'unix:')) {
            curl_setopt($this->curl, CURLOPT_UNIX_SOCKET_PATH, substr($this->target, strlen('unix:')));
        }
        $body = curl_exec($this->curl);
        if ($body === false) {
            throw new Failed(curl_error($this->curl));
        }
        $status = curl_getinfo($this->curl, CURLINFO_RESPONSE_CODE);
        $wanted = $this->version === CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE ? CURL_HTTP_VERSION_2_0 : $this->version;
        equal(curl_getinfo($this->curl, CURLINFO_HTTP_VERSION), $wanted, 'version of HTTP');
        equal(curl_getinfo($this->curl, CURLINFO_CONTENT_TYPE), 'application/json', "content type (HTTP $status)");
        $answer = json_decode($body, true, 512, JSON_THROW_ON_ERROR);
        if ($status !== 200) {
            throw new Refused($answer['code'] ?? '', reason($answer), $status, $answer['message'] ?? '');
        }
        return $answer;
    }

    private function step(string $name, callable $act): mixed
    {
        $this->steps++;
        try {
            return $act();
        } catch (Throwable $problem) {
            echo "$this->title: FAILED at step $this->steps, $name: {$problem->getMessage()}\n";
            exit(1);
        }
    }

    private function answered(string $name, string $service, string $method, array $request): array
    {
        return $this->step($name, fn () => $this->call($service, $method, $request));
    }

    private function judged(string $name, string $want, string $service, string $method, array $request): array
    {
        $answer = $this->answered($name, $service, $method, $request);
        $this->step($name, fn () => equal($answer['verdict'] ?? '', "VERDICT_$want", 'verdict'));
        return $answer;
    }

    private function refused(
        string $name,
        string $code,
        string $reason,
        int $status,
        string $service,
        string $method,
        array $request,
    ): void {
        $this->step($name, function () use ($code, $reason, $status, $service, $method, $request) {
            try {
                $this->call($service, $method, $request);
            } catch (Refused $refusal) {
                $got = [$refusal->kind, $refusal->reason, $refusal->status];
                equal($got, [$code, $reason, $status], 'code, reason and HTTP status');
                return;
            }
            throw new Failed("want $code $reason, got an answer");
        });
    }

    public function run(): void
    {
        $this->liveauth();
        $this->hub();
        $this->batches();
        echo "$this->title: $this->steps steps passed\n";
    }

    private function liveauth(): void
    {
        $minted = $this->answered('mint for client 42', LIVEAUTH, 'MintHash', mint());
        $own = hash_hmac('sha256', "42-{$minted['expires']}", SECRET);
        $this->step("the minted hash is hash_hmac's", fn () => equal($minted['hash'], $own, 'hash'));
        $query = http_build_query(['client' => 42, 'expires' => $minted['expires'], 'hash' => $own]);
        $this->step('the query string holds all three', fn () => equal($minted['query'], $query, 'query'));
        $fresh = ['client' => '42', 'expires' => (string) $minted['expires'], 'hash' => $minted['hash']];
        $this->judged('verify it', 'VALID', LIVEAUTH, 'VerifyHash', ['domain' => DOMAIN, ...$fresh]);
        $byReferer = ['referer' => $minted['referer'], ...$fresh];
        $this->judged('by its Referer', 'VALID', LIVEAUTH, 'VerifyHash', $byReferer);
        $foreign = ['referer' => 'https://' . NOWHERE . '/', ...$fresh];
        $this->judged('by an unknown Referer', 'UNKNOWN_KEY', LIVEAUTH, 'VerifyHash', $foreign);
        $this->judged("the document's hash", 'EXPIRED', LIVEAUTH, 'VerifyHash', document());
        $misprint = document(['expires' => '1580608922']);
        $this->judged("the document's misprint", 'BAD_SIGNATURE', LIVEAUTH, 'VerifyHash', $misprint);
        $short = document(['hash' => substr(DOCUMENT_HASH, 0, 32)]);
        $this->judged('a hash of 32 digits', 'MALFORMED', LIVEAUTH, 'VerifyHash', $short);

        $unknown = ['not_found', 'UNKNOWN_DOMAIN', 404, LIVEAUTH];
        $this->refused('an unknown domain', ...[...$unknown, 'MintHash', mint(['domain' => NOWHERE])]);
        $this->refused('to verify for one', ...[...$unknown, 'VerifyHash', document(['domain' => NOWHERE])]);
        $long = ['invalid_argument', 'TTL_TOO_LONG', 400, LIVEAUTH, 'MintHash', mint(['ttl' => 999999])];
        $this->refused('a ttl of 999999', ...$long);
        $misspelt = ['invalid_argument', 'UNDECODABLE', 400, LIVEAUTH, 'MintHash', mint(['tll' => 60])];
        $this->refused('an unknown field', ...$misspelt);
    }

    private function hub(): void
    {
        $sealed = $this->answered('seal a token for a user', HUB, 'Seal', seal());
        $own = present($sealed['auth']);
        $theirs = present($sealed['auth'], ['username' => OTHER_USER]);
        $opened = $this->judged('open it', 'VALID', HUB, 'Open', $own);
        $payload = base64_decode($opened['payload'] ?? '', true);
        $this->step('opening gives the payload back', fn () => equal($payload, PAYLOAD, 'payload'));
        $other = $this->judged('open it as another user', 'WRONG_CONTEXT', HUB, 'Open', $theirs);
        $this->step('then there is no payload', fn () => equal($other['payload'] ?? '', '', 'payload'));
        $at = intdiv(strlen($sealed['auth']), 2);
        $tampered = substr_replace($sealed['auth'], $sealed['auth'][$at] === 'B' ? 'C' : 'B', $at, 1);
        $this->judged('tampered with', 'MALFORMED', HUB, 'Open', present($tampered));
        $verified = $this->judged('verify it', 'VALID', HUB, 'Verify', $own);
        $this->step('verifying gives claims and no payload', function () use ($verified, $sealed) {
            equal($verified['claims']['grantId'], $sealed['grantId'], 'grant id');
            equal(array_key_exists('payload', $verified), false, 'a payload');
        });
        $this->judged('verify as another user', 'WRONG_CONTEXT', HUB, 'Verify', $theirs);
        $resealed = $this->judged('reseal it', 'VALID', HUB, 'Reseal', $own);
        $kept = $resealed['claims']['grantId'];
        $this->step('resealing keeps the grant', fn () => equal($kept, $sealed['grantId'], 'grant id'));
        $this->judged('open the resealed one', 'VALID', HUB, 'Open', present($resealed['auth']));
        $unknown = ['not_found', 'UNKNOWN_APP', 404, HUB];
        $this->refused('seal for an unknown app', ...[...$unknown, 'Seal', seal(['app' => 'nobody'])]);
        foreach (['Open', 'Verify', 'Reseal'] as $method) {
            $request = present($sealed['auth'], ['app' => 'nobody']);
            $this->refused("$method for one", ...[...$unknown, $method, $request]);
        }
    }

    private function batches(): void
    {
        $items = [mint(), mint(['ttl' => 999999]), mint(['client' => 43])];
        $hashes = $this->batch(LIVEAUTH, 'BatchMintHash', $items, [3, 'TTL_TOO_LONG']);
        $clients = [(string) $hashes[0]['response']['client'], (string) $hashes[2]['response']['client']];
        $this->step('hashes keep the order', fn () => equal($clients, ['42', '43'], 'clients'));
        $items = [document(), document(['domain' => NOWHERE]), document(['hash' => 'x'])];
        $this->order($this->batch(LIVEAUTH, 'BatchVerifyHash', $items, [5, 'UNKNOWN_DOMAIN']), ['EXPIRED', 'MALFORMED']);
        $items = [seal(), seal(['app' => 'nobody']), seal(['username' => OTHER_USER])];
        $sealed = $this->batch(HUB, 'BatchSeal', $items, [5, 'UNKNOWN_APP']);
        [$mine, $theirs] = [$sealed[0]['response']['auth'], $sealed[2]['response']['auth']];
        $items = [present($mine), present($mine, ['app' => 'nobody']), present($theirs)];
        foreach (['BatchOpen', 'BatchVerify', 'BatchReseal'] as $method) {
            $this->order($this->batch(HUB, $method, $items, [5, 'UNKNOWN_APP']), ['VALID', 'WRONG_CONTEXT']);
        }
        $all = [LIVEAUTH => ['MintHash', 'VerifyHash'], HUB => ['Seal', 'Open', 'Verify', 'Reseal']];
        foreach ($all as $service => $methods) {
            foreach ($methods as $method) {
                foreach ([0, 1001] as $count) {
                    $request = ['items' => array_fill(0, $count, (object) [])];
                    $refusal = ['invalid_argument', 'INVALID_FIELD', 400, $service, "Batch$method", $request];
                    $this->refused("Batch$method of $count", ...$refusal);
                }
            }
        }
    }

    private function batch(string $service, string $method, array $items, array $error): array
    {
        $results = $this->answered($method, $service, $method, ['items' => $items])['results'] ?? [];
        $this->step("$method: one bad item", function () use ($results, $error) {
            equal(array_map('array_keys', $results), [['response'], ['error'], ['response']], 'results');
            equal([$results[1]['error']['code'], $results[1]['error']['reason']], $error, 'item error');
        });
        return $results;
    }

    private function order(array $results, array $want): void
    {
        $verdict = fn (array $result) => substr($result['response']['verdict'], strlen('VERDICT_'));
        $got = [$verdict($results[0]), $verdict($results[2])];
        $this->step('verdicts keep the order', fn () => equal($got, $want, 'verdicts'));
    }
}

function mint(array $changes = []): array
{
    return [...['domain' => DOMAIN, 'client' => 42, 'ttl' => 60], ...$changes];
}

function document(array $changes = []): array
{
    $document = ['domain' => DOMAIN, 'client' => '42', 'expires' => '989539200', 'hash' => DOCUMENT_HASH];
    return [...$document, ...$changes];
}

function seal(array $changes = []): array
{
    $seal = ['app' => APP, 'username' => USER, 'payload' => base64_encode(PAYLOAD), 'ttl' => 3600];
    return [...$seal, ...$changes];
}

function present(string $auth, array $changes = []): array
{
    return [...['app' => APP, 'username' => USER, 'auth' => $auth], ...$changes];
}

$versions = ['HTTP/1.1' => CURL_HTTP_VERSION_1_1, 'HTTP/2' => CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE];
foreach (array_slice($argv, 1) as $target) {
    foreach ($versions as $name => $version) {
        (new Client($target, "php $name $target", $version))->run();
    }
}
