"""What is read of the store while others write to it."""

import asyncio

from omnireel.store.sqlite.database import Database


def test_a_read_sees_one_state_though_a_write_is_committed_meanwhile(tmp_path):
    def count(db):
        return db.execute("SELECT count(*) FROM counted").fetchone()[0]

    async def run(database):
        await database.write(lambda db: db.execute("CREATE TABLE counted (n)").fetchall())

        def look_twice(db):
            before = count(db)
            database.post(lambda db: db.execute("INSERT INTO counted VALUES (1)").fetchall()).result(60)
            return before, count(db)

        return await database.read(look_twice), await database.read(count)

    database = Database(tmp_path / "store.db")
    try:
        assert asyncio.run(run(database)) == ((0, 0), 1)
    finally:
        database.close()
