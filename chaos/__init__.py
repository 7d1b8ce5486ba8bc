"""What the mesh promises while parts of it fail: a steady load, faults one after the other, and a ledger.

python -m chaos                 the long run on the mesh profile; writes docs/reliability.md
python -m chaos rolling         searches while every replicated service is restarted
python -m chaos kill            clients of an instance that is killed
"""
