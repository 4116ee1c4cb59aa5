"""Every "openstack messaging …" command, against a running gateway.

    /usr/bin/python3 check_openstack.py http://127.0.0.1:8888 embedded://local/NAME

The second argument is a database that may become a pool. Needs the packages python3-openstackclient and
python3-zaqarclient (Debian). There is no Keystone here: the commands run with the authentication type "none", and the
headers that an authenticating proxy would add for a project's administrator are added to what they send.
"""

import contextlib
import io
import json
import sys
import unittest
import uuid

from openstackclient import shell
from zaqarclient.auth import keystone

URL, POOL_URI = None, None
PROJECT = 'openstack-' + uuid.uuid4().hex
CLIENT_ID = uuid.uuid4().hex

authenticate = keystone.KeystoneAuth.authenticate


def as_administrator(self, api_version, request):
    request = authenticate(self, api_version, request)
    request.headers.update({'X-Project-Id': PROJECT, 'X-ROLES': 'admin'})
    return request


keystone.KeystoneAuth.authenticate = as_administrator


def openstack(*words):
    """Runs a command and returns what it prints; it must succeed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        command = shell.OpenStackShell()
        status = command.run(['--os-auth-type', 'none', '--os-endpoint', URL, 'messaging', *words])
    if status:
        raise AssertionError('openstack messaging %s: %s%s' % (' '.join(words), err.getvalue(), out.getvalue()))
    return out.getvalue()


def show(*words):
    """Runs a command that prints one record or a list, as JSON."""
    return json.loads(openstack(*words, '-f', 'json'))


class Commands(unittest.TestCase):
    def test_service(self):
        self.assertEqual(show('ping'), {'Pingable': True})
        self.assertTrue(json.loads(openstack('health')))
        self.assertIn('resources', json.loads(openstack('homedoc')))

    def test_queue(self):
        show('queue', 'create', 'q1')
        show('queue', 'create', 'q2')
        self.assertIn('q1', [q['Name'] for q in show('queue', 'list', '--limit', '20', '--detailed')])
        self.assertIn('Queues in total: ', openstack('queue', 'list', '--with_count', '--limit', '1'))
        self.assertIn('q2', [q['Name'] for q in show('queue', 'list', '--marker', 'q1')])
        openstack('queue', 'set', 'metadata', 'q1', '{"colour": "red"}')
        self.assertIn('red', openstack('queue', 'get', 'metadata', 'q1'))
        openstack('message', 'post', 'q1', '[{"body": 1, "ttl": 300}]', '--client-id', CLIENT_ID)
        self.assertEqual(show('queue', 'stats', 'q1')['Stats']['messages']['total'], 1)
        openstack('queue', 'purge', 'q1', '--resource_types', 'messages')
        signed = show('queue', 'signed', 'url', 'q1', '--paths', 'messages,claims', '--ttl-seconds', '600',
                      '--methods', 'GET,POST')
        self.assertEqual(signed['Paths'], '/v2/queues/q1/claims,/v2/queues/q1/messages')
        self.assertEqual(signed['Project ID'], PROJECT)
        openstack('queue', 'delete', 'q1')
        openstack('queue', 'delete', 'q2')

    def test_message_and_claim(self):
        openstack('message', 'post', 'work', '[{"body": {"n": 0}, "ttl": 300}, {"body": {"n": 1}}]', '--client-id', CLIENT_ID)
        messages = show('message', 'list', 'work', '--echo', '--include-claimed', '--include-delayed', '--limit', '5',
                        '--client-id', CLIENT_ID)
        self.assertEqual([m['Body'] for m in messages], [{'n': 0}, {'n': 1}])
        ids = [m['ID'] for m in messages]
        self.assertEqual(len(show('message', 'list', 'work', '--message-ids', ','.join(ids), '--client-id', CLIENT_ID)), 2)
        claimed = show('claim', 'create', 'work', '--ttl', '120', '--grace', '60', '--limit', '1')
        self.assertEqual([m['Message_ID'] for m in claimed], ids[:1])
        claim = claimed[0]['Claim_ID']
        self.assertEqual(len(show('claim', 'query', 'work', claim)), 1)
        self.assertEqual(len(show('claim', 'renew', 'work', claim, '--ttl', '240', '--grace', '60')), 1)
        openstack('claim', 'release', 'work', claim)

    def test_subscription(self):
        made = show('subscription', 'create', 'news', 'http://127.0.0.1:1/hook', '600', '--options', '{"a": 1}')
        self.assertEqual(made['Subscriber'], 'http://127.0.0.1:1/hook')
        self.assertEqual([s['ID'] for s in show('subscription', 'list', 'news', '--limit', '5')], [made['ID']])
        openstack('subscription', 'update', 'news', made['ID'], '--ttl', '700')
        self.assertEqual(show('subscription', 'show', 'news', made['ID'])['TTL'], 700)
        openstack('subscription', 'delete', 'news', made['ID'])
        self.assertEqual(show('subscription', 'list', 'news'), [])

    def test_pool_and_flavor(self):
        pool, flavor = 'cli-pool', 'cli-flavor'
        show('pool', 'create', pool, POOL_URI, '0')
        self.assertEqual(show('pool', 'show', pool)['URI'], POOL_URI)
        self.assertIn(pool, [p['Name'] for p in show('pool', 'list', '--detailed', '--limit', '20')])
        self.assertEqual(show('pool', 'update', pool, '--pool_weight', '10')['Weight'], 10)
        show('flavor', 'create', flavor, '--pool_list', pool)
        self.assertEqual(show('flavor', 'show', flavor)['Pool list'], [pool])
        self.assertIn(flavor, [f['Name'] for f in show('flavor', 'list', '--detailed')])
        show('flavor', 'update', flavor, '--pool_list', pool)
        openstack('flavor', 'delete', flavor)
        openstack('pool', 'delete', pool)
        self.assertNotIn(pool, [p['Name'] for p in show('pool', 'list')])


if __name__ == '__main__':
    URL, POOL_URI = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2, warnings='ignore')
