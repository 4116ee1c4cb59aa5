"""Every call of python-zaqarclient's API v2, against a running gateway.

    /usr/bin/python3 check_zaqarclient.py http://127.0.0.1:8888 embedded://local/NAME

The second argument is a database that may become a pool. Needs the package python3-zaqarclient (Debian).
"""

import sys
import unittest
import uuid

from zaqarclient import auth
from zaqarclient.auth import base
from zaqarclient.queues import client
from zaqarclient.transport import errors

URL, POOL_URI = None, None


class Admin(base.NoAuth):
    """No authentication, and the header that an authenticating proxy adds for an administrator."""

    def authenticate(self, api_version, request):
        request.headers['X-ROLES'] = 'admin'
        return request


auth._BACKENDS['admin'] = Admin


def connect(project, backend='noauth', **options):
    options['os_project_id'] = project
    return client.Client(URL, version=2, conf={'auth_opts': {'backend': backend, 'options': options}})


class Case(unittest.TestCase):
    def setUp(self):
        self.project = 'python-' + uuid.uuid4().hex
        self.client = connect(self.project)

    def post(self, queue, n):
        created = queue.post([{'body': {'n': i}, 'ttl': 300} for i in range(n)])
        ids = [href.rsplit('/', 1)[1] for href in created['resources']]
        self.assertEqual(len(ids), n)
        return ids


class Service(Case):
    def test_ping(self):
        self.assertTrue(self.client.ping())

    def test_home_document(self):
        self.assertIn('rel/queue', self.client.homedoc()['resources'])

    def test_health(self):
        with self.assertRaises(errors.ForbiddenError):
            self.client.health()
        self.assertTrue(connect(self.project, 'admin').health())


class Queues(Case):
    def test_create_and_list(self):
        for name in ('a', 'b', 'c'):
            self.client.queue(name, force_create=True)
        queues, count = self.client.queues(limit=2, detailed=True, with_count=True)
        self.assertEqual(count, 3)
        self.assertEqual([q.name for q in queues], ['a', 'b'])
        queues, _ = self.client.queues(limit=2)
        names = []
        for queue in queues.stream():  # follows the links; a page without links is the end
            names.append(queue.name)
            if len(names) == 3:
                break
        self.assertEqual(names, ['a', 'b', 'c'])
        queues, _ = self.client.queues(marker='b')
        self.assertEqual([q.href for q in queues], ['/v2/queues/c'])

    def test_metadata(self):
        queue = self.client.queue('q', force_create=True)
        self.assertEqual(queue.metadata()['_default_message_ttl'], 3600)
        queue.metadata(new_meta={'colour': 'red', '_default_message_ttl': 300})
        got = queue.metadata(force_reload=True)
        self.assertEqual((got['colour'], got['_default_message_ttl']), ('red', 300))
        queue.metadata(new_meta={})
        got = queue.metadata(force_reload=True)
        self.assertNotIn('colour', got)
        self.assertEqual(got['_default_message_ttl'], 3600)

    def test_update_of_a_missing_queue(self):
        with self.assertRaises(errors.ResourceNotFound) as caught:
            self.client.queue('missing').metadata(new_meta={'a': 1})
        self.assertIn('Queue missing does not exist for project ' + self.project, str(caught.exception))

    def test_stats_purge_delete(self):
        queue = self.client.queue('q')
        self.post(queue, 3)
        stats = queue.stats['messages']
        self.assertEqual((stats['free'], stats['total']), (3, 3))
        self.assertIn('oldest', stats)
        queue.purge(resource_types=['messages'])
        self.assertEqual(queue.stats['messages']['total'], 0)
        queue.purge()
        queue.delete()
        self.assertEqual([q.name for q in self.client.queues()[0]], [])

    def test_signed_url(self):
        queue = self.client.queue('q')
        ids = self.post(queue, 1)
        signed = queue.signed_url(paths=['messages'], ttl_seconds=600, methods=['GET', 'POST'])
        guest = connect(self.project, 'signed-url', expires=signed['expires'], methods=signed['methods'],
                        paths=signed['paths'], signature=signed['signature'])
        self.assertEqual([m.id for m in guest.queue('q').messages(echo=True)], ids)
        guest.queue('q').post({'body': 'from outside', 'ttl': 300})
        with self.assertRaises(errors.ResourceNotFound):
            guest.queue('q').delete_messages(*ids)
        with self.assertRaises(errors.ResourceNotFound):
            guest.queue('other').messages()

    def test_faults(self):
        with self.assertRaises(errors.MalformedRequest) as caught:
            self.client.queue('q').post({'body': 1, 'ttl': 1})
        self.assertIn('The TTL for a message may not exceed 1209600 seconds', str(caught.exception))
        with self.assertRaises(errors.MalformedRequest):
            self.client.queue('x' * 65, force_create=True)


class Messages(Case):
    def setUp(self):
        super().setUp()
        self.queue = self.client.queue('q')

    def test_post_and_get(self):
        ids = self.post(self.queue, 3)
        message = self.queue.message(ids[0])
        self.assertEqual((message.id, message.body, message.ttl, message.claim_id), (ids[0], {'n': 0}, 300, None))
        self.assertEqual([m.id for m in self.queue.messages(*ids[1:])], ids[1:])
        with self.assertRaises(errors.ResourceNotFound):
            self.queue.message('nope')

    def test_list(self):
        ids = self.post(self.queue, 5)
        self.assertEqual(list(self.queue.messages()), [])
        self.assertEqual([m.id for m in self.queue.messages(echo=True, limit=2, include_claimed=False)], ids[:2])
        streamed = []
        for message in self.queue.messages(echo=True, limit=2).stream():
            streamed.append(message.id)
            if len(streamed) == 5:
                break
        self.assertEqual(streamed, ids)

    def test_delayed(self):
        self.queue.post({'body': 1, 'ttl': 300, 'delay': 60})
        self.assertEqual(list(self.queue.messages(echo=True)), [])
        self.assertEqual(len(list(self.queue.messages(echo=True, include_delayed=True))), 1)

    def test_delete(self):
        ids = self.post(self.queue, 4)
        self.queue.message(ids[0]).delete()
        self.queue.delete_messages(*ids[1:3])
        self.assertEqual([m.id for m in self.queue.messages(echo=True)], ids[3:])

    def test_pop(self):
        ids = self.post(self.queue, 3)
        self.assertEqual([m.id for m in self.queue.pop(count=2)], ids[:2])
        self.assertEqual([m.body for m in self.queue.pop()], [{'n': 2}])
        self.assertEqual(list(self.queue.pop()), [])


class Claims(Case):
    def setUp(self):
        super().setUp()
        self.queue = self.client.queue('q')

    def test_life_of_a_claim(self):
        ids = self.post(self.queue, 3)
        claim = self.queue.claim(ttl=120, grace=60, limit=2)
        claimed = list(claim)
        self.assertEqual([m.id for m in claimed], ids[:2])
        self.assertEqual([m.claim_id for m in claimed], [claim.id] * 2)
        self.assertEqual(self.queue.message(ids[0]).claim_id, claim.id)
        with self.assertRaises(errors.ForbiddenError):
            message = self.queue.message(ids[0])
            message.href = message.href.split('?')[0]
            message.delete()
        claimed[0].delete()
        again = self.queue.claim(id=claim.id)
        self.assertEqual(len(list(again)), 1)
        self.assertGreaterEqual(again.age, 0)
        again.update(ttl=240, grace=90)
        self.assertEqual(self.queue.claim(id=claim.id).ttl, 240)
        again.delete()
        with self.assertRaises(errors.ResourceNotFound):
            list(self.queue.claim(id=claim.id))
        self.assertEqual([m.id for m in self.queue.messages(echo=True)], ids[1:])

    def test_nothing_to_claim(self):
        claim = self.queue.claim(ttl=60, grace=60)
        self.assertIsNone(claim.id)
        self.assertEqual(list(claim), [])


class Subscriptions(Case):
    def test_life_of_a_subscription(self):
        hook = 'http://127.0.0.1:1/hook'
        made = self.client.subscription('q', subscriber=hook, ttl=600, options={'a': 1})
        self.assertTrue(made.id)
        self.assertEqual((made.subscriber, made.ttl, made.options), (hook, 600, {'a': 1}))
        self.client.subscription('q', subscriber=hook + '2', ttl=600)
        listed = list(self.client.subscriptions('q', limit=1))
        self.assertEqual([s.id for s in listed], [made.id])
        self.assertEqual(len(list(self.client.queue('q').subscriptions())), 2)
        made.update({'ttl': 700, 'options': {}})
        got = self.client.subscription('q', id=made.id)
        self.assertEqual((got.ttl, got.options), (700, {}))
        with self.assertRaises(errors.ConflictError):
            made.update({'subscriber': hook + '2'})
        made.delete()
        with self.assertRaises(errors.ResourceNotFound):
            self.client.subscription('q', id=made.id)


class PoolsAndFlavors(Case):
    def test_both(self):
        admin = connect(self.project, 'admin')
        name = 'python-pool'
        pool = admin.pool(name, weight=0, uri=POOL_URI, options={'a': 1})
        got = pool.get()
        self.assertEqual((got['name'], got['uri'], got['weight']), (name, POOL_URI, 0))
        self.assertIn(name, [p.name for p in admin.pools(detailed=True)])
        pool.update({'weight': 10})
        self.assertEqual(pool.get()['weight'], 10)
        flavor = admin.flavor('python-flavor', pool_list=[name])
        self.assertEqual(flavor.get()['pool_list'], [name])
        self.assertIn('python-flavor', [f.name for f in admin.flavors(detailed=True)])
        flavor.update({'pool_list': [name]})
        queue = self.client.queue('q', force_create=True)
        # A queue stays where it is: one that is in another pool cannot be given the flavor.
        with self.assertRaises(errors.MalformedRequest):
            queue.metadata(new_meta={'_flavor': 'python-flavor'})
        queue.delete()
        flavor.delete()
        pool.delete()
        with self.assertRaises(errors.ResourceNotFound):
            pool.get()
        with self.assertRaises(errors.ForbiddenError):
            self.client.pool(name, auto_create=False).get()


if __name__ == '__main__':
    URL, POOL_URI = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2, warnings='ignore')
